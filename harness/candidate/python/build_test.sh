#!/usr/bin/env bash
# The script `build` beside this: the adapter that it makes serves a program that has no other, and what it lacks it names.
#
#   build_test.sh TWINCHECK PYTHON
set -uo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$here/../../.." && pwd)
twincheck=$1 python=$2
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
failed=0

# expect STATUS WORDS COMMAND...
expect() {
  local status=$1 words=$2 said found
  shift 2
  said=$("$@" 2>&1)
  found=$?
  if [[ $found -ne $status || $said != *"$words"* ]]; then
    printf 'FAILED: %s\n  ended in %s, expected %s with: %s\n%s\n' "$*" "$found" "$status" "$words" "$said"
    failed=1
  fi
}

expect 2 "found 0 arguments, expected PYTHON FOLDER" "$here/build"
expect 2 "no-such-python is no program" "$here/build" no-such-python "$work/lib"
printf '#!/bin/sh\nprintf "%%s\\n" %s /nowhere /usr/lib python3.11 /usr/include\n' "$python" >"$work/headless"
chmod +x "$work/headless"
expect 2 "/nowhere/Python.h is not there: install the headers" "$here/build" "$work/headless" "$work/lib"

# The few files that it says it needs, and nothing else of the project.
mkdir -p "$work/src/harness/case" "$work/src/harness/candidate" "$work/bin"
cp -r "$root/contract" "$work/src"
cp "$root/harness/case/case.h" "$work/src/harness/case"
cp -r "$root/harness/candidate/adapter.h" "$here" "$work/src/harness/candidate"
cp "$twincheck" "$work/bin"
expect 0 "$work/lib/libtwincheck_python.so: for $python" env CXXFLAGS=-O0 "$work/src/harness/candidate/python/build" "$python" "$work/lib"
expect 0 "PASSED: cpu.numpy_append is right in 300 cases" "$work/bin/$(basename "$twincheck")" verify --no-corpus --cases 300 \
  --seed 0x5eed --save '' --candidate "$root/examples/python/numpy_append.py"
[[ $failed -eq 0 ]] && printf 'the adapter is built by hand\n'
exit "$failed"
