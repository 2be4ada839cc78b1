#!/usr/bin/env bash
# The gate's fuzz stage, around stubs of the fuzzers: what it runs, with which program, and what it says of what comes back.
#
#   gate_test.sh BUILD      a build folder with bin/twincheck, lib/libtwincheck_cpu.so and lib/mutants
set -euo pipefail

build=$1
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
failures=0
mkdir -p "$work"/{dev/bin,dev/lib,fuzz-fast/bin,mutants,here}
cp -- "$build/bin/twincheck" "$work/dev/bin/"
cp -- "$build/lib/libtwincheck_cpu.so" "$work/dev/lib/"
cp -- "$build"/lib/mutants/libmutant_011_* "$work/mutants/"

# stub FOLDER BODY: every fuzzer there logs its name and arguments, then does that.
stub() {
  local fuzzer
  for fuzzer in fuzz_wrapper fuzz_append fuzz_sequence fuzz_case; do
    # shellcheck disable=SC2016  # for the stub to expand
    printf '#!/bin/sh\necho "$0 $*" >>"%s/log"\n%s\n' "$work" "$2" >"$work/$1/bin/$fuzzer"
    chmod +x "$work/$1/bin/$fuzzer"
  done
}
# Small parts of the gate, one with each fuzzer: what is looked at here does not depend on the rest.
run() {
  local part part_status
  : >"$work/log"
  status=0 output=
  for part in 0 1 2 3; do
    part_status=0
    output+=$(cd "$work/here" && "$work/dev/bin/twincheck" gate --platform cpu --no-color --tier pr --shard "$part/5000" \
      --seconds 0.1 --mutants "$work/mutants" "$@" 2>&1) || part_status=$?
    if ((part_status > status)); then status=$part_status; fi
  done
}
expect() {
  local what=$1
  shift
  if ! "$@"; then
    printf 'FAIL %s\n  status %s, said:\n%s\n  log:\n%s\n' "$what" "$status" "$output" "$(cat "$work/log")"
    failures=$((failures + 1))
  fi
}
said() { [[ $output == *"$1"* ]]; }
logged() { grep -q -- "$1" "$work/log"; }
not() { ! "$@"; }

stub dev 'echo "7 inputs replayed, 8 bytes"'
run
expect "all well: ends in 0" test "$status" = 0
for fuzzer in fuzz_wrapper fuzz_append fuzz_sequence fuzz_case; do
  expect "$fuzzer: replays its seeds" logged "dev/bin/$fuzzer .*/corpus/seeds/$fuzzer"
  expect "$fuzzer: fuzzes for 2 s" logged "dev/bin/$fuzzer .*-max_total_time=2 .*/corpus/seeds/$fuzzer"
  expect "$fuzzer: says so" said "$fuzzer: 7 inputs replayed, 8 bytes; fuzzed: 7 inputs"
done
expect "replays the regressions" logged "fuzz_wrapper .*/corpus/regressions/fuzz_wrapper"

stub fuzz-fast 'echo "Done 9 runs in 2 second(s)"'
run
expect "a build with libFuzzer: is fuzzed with" said "fuzz_append: 7 inputs replayed, 8 bytes; fuzzed with libFuzzer: Done 9 runs"
touch -d '1 hour ago' "$work"/fuzz-fast/bin/*
run
expect "an older build with libFuzzer: is left alone" not logged "fuzz-fast/"
expect "an older build with libFuzzer: is not claimed" not said "with libFuzzer"
run --tier smoke
expect "smoke: fuzzes nothing" not logged fuzz_

stub dev "echo 'FAIL cpu.fused   law=guards   ./mismatch.case'; echo '  replay: twincheck replay it'; kill -ABRT \$\$"
run
expect "a broken promise: ends in 1" test "$status" = 1
expect "a broken promise: is shown" said "FAIL cpu.fused   law=guards"
stub dev "if [ -n \"\$TWINCHECK_FUZZ_SHOW\" ]; then echo 'case: append first'; echo 'case: append last'; fi; kill -SEGV \$\$"
run
expect "a crash: ends in 1" test "$status" = 1
expect "a crash: its last case can be replayed" said "replay: twincheck replay 'append last'"

rm -- "$work"/dev/bin/fuzz_case
stub fuzz-fast 'exit 0'
run
expect "no fuzzer: is not here, by name" said "fuzz_case: not here: not built"

if ((failures > 0)); then
  echo "$failures failed"
  exit 1
fi
