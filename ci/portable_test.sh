#!/usr/bin/env bash
# What ci/portable makes runs from where it was moved to, of nothing but itself and the C and C++ libraries.
#
#   ci/portable_test.sh BUILD      a build folder with the program and the candidates
set -euo pipefail
build=$(cd -- "$1" && pwd)
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

fail() {
  printf 'FAIL %s\n' "$1"
  exit 1
}

"$here/portable" --no-install --built "$build" "$work/made"
mv "$work/made" "$work/moved"
cd -- "$work/moved"
foreign=$(ldd bin/twincheck lib/libtwincheck_cpu.so | awk '$2 == "=>" { print $3 }' | sort -u |
  grep -v -E "^$work/moved/|/(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s)\.so" || true)
[[ -z $foreign ]] || fail "it needs $foreign"
bin/twincheck verify --platform cpu --cases 200 --save '' || fail "it does not judge"
bin/twincheck bench --platform cpu --tokens 8 --seconds 0.01 --save '' | grep -q 'cpu.empty' || fail "it does not time the empty kernel"
[[ -e share/twincheck/python-adapter/harness/candidate/python/build ]] || fail "the Python adapter's sources are missing"

# A folder of somebody's is not deleted.
mkdir "$work/other"
touch "$work/other/precious"
if "$here/portable" --no-install --built "$build" "$work/other" 2>"$work/said"; then fail "it took a folder that it had not made"; fi
[[ -e $work/other/precious ]] || fail "it deleted somebody's folder"
grep -q 'left alone' "$work/said" || fail "it does not say that it leaves the folder alone"
