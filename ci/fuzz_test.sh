#!/usr/bin/env bash
# ci/fuzz around small fuzzers of libFuzzer's own: what it does with what they find, and with being stopped. Nothing of the
# project is built.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
if ! command -v clang++ >/dev/null || ! command -v flock >/dev/null; then
  echo "not here: compiler clang++"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
failures=0

mkdir -p "$work"/{ci,fuzz,stubs,build/fuzz-fast/bin,build/fuzz/bin}
cp -- "$here"/fuzz "$here"/fuzz_*.sh "$here"/lib.sh "$work/ci/"
cp -- "$here/../fuzz/dictionary" "$work/fuzz/"
for fuzzer in fuzz_wrapper fuzz_append fuzz_sequence fuzz_case; do
  mkdir -p "$work/corpus/seeds/$fuzzer"
  printf 'seed' >"$work/corpus/seeds/$fuzzer/seed"
done
printf '#!/bin/sh\nexit 0\n' >"$work/stubs/cmake"
chmod +x "$work/stubs/cmake"

# An input that begins with the name of a defect has it, unless the file `mended` is there.
cat >"$work/stub.cpp" <<'CPP'
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>
static void* block;
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (std::getenv("TWINCHECK_FUZZ_SHOW") != nullptr) std::fprintf(stderr, "case: append source=constant size=%zu\n", size);
  if (size == 0 || access("mended", F_OK) == 0) return 0;
  if (BUG != 0 && data[0] == BUG) std::abort();
  if (BUG != 0 && data[0] == 'M') std::free(*const_cast<void* volatile*>(&(block = std::malloc(size_t{400} << 20))));
  if (size == 777) _exit(70);  // as libFuzzer's alarm does
  return 0;
}
CPP
# stub NAME BUG: a fuzzer that aborts at inputs that begin with the byte.
stub() {
  clang++ -O1 -fsanitize=fuzzer "-DBUG=$2" "$work/stub.cpp" -o "$work/build/fuzz-fast/bin/$1"
  clang++ -O1 -fsanitize=fuzzer,address "-DBUG=$2" "$work/stub.cpp" -o "$work/build/fuzz/bin/$1"  # limits what malloc takes
}
stub fuzz_wrapper 0
stub fuzz_append "'B'"
for fuzzer in fuzz_sequence fuzz_case; do
  printf '#!/bin/sh\necho cannot >&2\nexit 3\n' >"$work/build/fuzz-fast/bin/$fuzzer"
  chmod +x "$work/build/fuzz-fast/bin/$fuzzer"
  cp -- "$work/build/fuzz-fast/bin/$fuzzer" "$work/build/fuzz/bin/"
done

run() {
  status=0
  output=$(cd "$work" && PATH=$work/stubs:$PATH ci/fuzz --no-install "$@" 2>&1) || status=$?
}
expect() {
  local what=$1
  shift
  if ! "$@"; then
    printf 'FAIL %s\n  status %s, said:\n%s\n' "$what" "$status" "$output"
    failures=$((failures + 1))
  fi
}
said() { [[ $output == *"$1"* ]]; }
ended_in() { [[ $status == "$1" ]]; }
not() { ! "$@"; }
files() { compgen -G "$work/$1" >/dev/null; }
# Of this test's fuzzers, one is at work.
is_fuzzing() {
  local process
  for process in /proc/[0-9]*; do
    if [[ $(readlink "$process/exe" 2>/dev/null) == "$work"/build/* ]]; then return; fi
  done
  false
}
soon() {
  local tries
  for ((tries = 0; tries < 50; ++tries)); do
    if "$@"; then return; fi
    sleep 0.1
  done
  false
}

# What it is asked.
for wrong in "--seconds x" "--seconds 0" "--seconds" "--jobs -1" "--runs 1.5" "--fuzzer fuzz_nothing" "--fuzzer" "--self-test --seeds" \
  "fuzz_wrapper" "--fuzer fuzz_wrapper"; do
  # shellcheck disable=SC2086  # words
  run $wrong
  expect "$wrong: ends in 2" ended_in 2
  expect "$wrong: says who says so" said "ci/fuzz: "
done
run --fuzzer fuzz_nothing
expect "a fuzzer that is none: says which there are" said "no fuzzer 'fuzz_nothing': expected one of fuzz_wrapper fuzz_append"
run --help
expect "--help: ends in 0" ended_in 0
expect "--help: lists what there is" said "ci/fuzz --self-test [--runs N]"

# Nothing to be found.
run --fuzzer fuzz_wrapper --seconds 2 --jobs 2
expect "nothing found: ends in 0" ended_in 0
expect "nothing found: says so" said "fuzz: passed: nothing found in 2 s"
expect "nothing found: has a rate" not said " 0 executions/s fast"
expect "nothing found: two processes" files "build/fuzz-work/fuzz_wrapper/log-1"

# Something to be found. The seed of a defect is another fuzzer's find: corpora are read across fuzzers.
printf 'B and more' >"$work/build/fuzz-work/fuzz_wrapper/corpus/of-the-wrapper"
run --fuzzer fuzz_append --seconds 1
expect "a crash: ends in 1" ended_in 1
expect "a crash: says what it is" said "inputs break a promise; keep them: ci/fuzz --regress"
expect "a crash: is there" files "build/fuzz-work/fuzz_append/artifacts/crash-*.case"
expect "a crash: its case is printed" grep -q '^append source=constant' "$work"/build/fuzz-work/fuzz_append/artifacts/crash-*.case
rm -f -- "$work"/build/fuzz-work/fuzz_wrapper/corpus/of-the-wrapper

printf 'More than is here' >"$work/build/fuzz-work/fuzz_append/artifacts/oom-by-hand"
printf '%777s' x >"$work/build/fuzz-work/fuzz_append/artifacts/timeout-by-hand"
printf 'holds by now' >"$work/build/fuzz-work/fuzz_append/artifacts/crash-by-hand"
run --regress
expect "regress: ends in 0" ended_in 0
expect "regress: counts each of them once" said "fuzz: 3 regressions of"
expect "regress: says what holds by now" said "crash-by-hand: breaks no promise any more"
regressions=$work/corpus/regressions/fuzz_append
expect "regress: a crash is as small as can be" test "$(cat "$regressions"/crash-????????????)" = B
expect "regress: so is too much memory" test "$(cat "$regressions"/oom-????????????)" = M
expect "regress: a timeout is kept as it is" test "$(stat -c %s "$regressions"/timeout-????????????)" = 777
expect "regress: each has its case" test "$(cat "$regressions"/crash-*.case)" = $'# Catches: ?\nappend source=constant size=1'
expect "regress: nothing is left" not files "build/fuzz-work/fuzz_append/artifacts/*"
expect "regress: nothing lies about" not files "*-????????????????????????????????????????"
run --regress
expect "regress again: has nothing to do" said "fuzz: 0 regressions of 0 findings"

cp -- "$regressions"/crash-???????????? "$work/build/fuzz-work/fuzz_append/artifacts/crash-of-old"
touch "$work/mended"
run --fuzzer fuzz_append --seconds 1
expect "mended: ends in 0" ended_in 0
expect "mended: says so" said "crash-of-old of an earlier campaign breaks no promise any more"
rm -- "$work/mended"

run --fuzzer fuzz_sequence --seconds 1
expect "a fuzzer that does not run: ends in 1" ended_in 1
expect "a fuzzer that does not run: is named" said "fuzz_sequence ended in 3: cannot"

# Stopped, and started again.
campaign() {
  cd "$work"
  PATH=$work/stubs:$PATH exec env --default-signal=INT ci/fuzz --no-install --fuzzer fuzz_wrapper --seconds 60 >"$work/said" 2>&1
}
for signal in INT TERM; do
  campaign &
  script=$!
  status=0 output=""
  expect "$signal: begins" soon is_fuzzing
  kill "-$signal" "$script"
  status=0
  wait "$script" || status=$?
  output=$(cat "$work/said")
  expect "$signal: ends in 130" ended_in 130
  expect "$signal: has a summary" said "executions/s fast"
  expect "$signal: complains of no missing file" not said "No such file"
  expect "$signal: leaves nothing at work" not is_fuzzing
done
campaign &
script=$!
expect "another: begins" soon is_fuzzing
run --fuzzer fuzz_append --seconds 1
expect "two at once: ends in 2" ended_in 2
expect "two at once: says so" said "another ci/fuzz is at work"
kill -KILL "$script"
wait "$script" 2>/dev/null || true
expect "KILL: leaves nothing at work" soon not is_fuzzing
run --fuzzer fuzz_wrapper --seconds 1
expect "after KILL: goes on" ended_in 0

if ((failures > 0)); then
  echo "$failures failed"
  exit 1
fi
