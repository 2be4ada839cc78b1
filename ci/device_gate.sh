#!/usr/bin/env bash
# The gate of a device platform as CTest's tests have it, in shards that are spread over GPUs.
#
#   ci/device_gate.sh PROGRAM hip|cuda SHARDS DIR SHARD    the SHARD-th part, on the GPU that CTest has set apart
#   ci/device_gate.sh PROGRAM hip|cuda SHARDS DIR merge    what all of them come to
#
# Reports are in DIR. Ends in the program's status, or in 77 where there is no such GPU.
set -euo pipefail
exec </dev/null
program=$1 platform=$2 shards=$3 folder=$4 part=$5
if ! "$program" list | grep -Eq "^ +$platform +here"; then
  printf 'not here: device %s\n' "$platform"
  exit 77
fi
if [[ $part == merge ]]; then
  reports=()
  for ((shard = 1; shard <= shards; ++shard)); do reports+=("$folder/shards/$shard"); done
  exec "$program" merge "${reports[@]}" --report "$folder/report"
fi
rm -rf -- "$folder/shards/$part"
jobs=$((($(nproc) + shards - 1) / shards))
exec "$program" gate --platform "$platform" --shard "$part/$shards" --jobs "$jobs" --report "$folder/shards/$part" --save "$folder/failures"
