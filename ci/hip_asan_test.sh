#!/usr/bin/env bash
# Preset hip-asan: the device code calls AddressSanitizer, for a target that can (xnack).
#
#   ci/hip_asan_test.sh FOLDER      where it is built
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT
{ cmake --preset hip-asan -B "$1" && cmake --build "$1" --target twincheck_hip; } >"$log" 2>&1 || {
  tail -n 30 -- "$log"
  exit 1
}
library=$1/lib/libtwincheck_hip.so
for words in 'amdgcn-amd-amdhsa--gfx90a:xnack+' '__asan_load16'; do
  if ! grep -q -a -F -e "$words" "$library"; then
    printf 'FAIL: no %s in %s\n' "$words" "$library"
    exit 1
  fi
done
