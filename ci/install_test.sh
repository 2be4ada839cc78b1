#!/usr/bin/env bash
# cmake --install, and a project outside the tree that uses it: a right kernel passes there, a wrong one fails.
#
#   ci/install_test.sh BUILD      a build folder with the target `gate`
set -euo pipefail
build=$(cd -- "$1" && pwd)
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

fail() {
  printf 'FAIL %s\n' "$1"
  if (($# > 1)); then tail -n 40 -- "$2"; fi
  exit 1
}
# quietly WHAT COMMAND...: shows its output only where it fails.
quietly() {
  local what=$1
  shift
  "$@" >"$work/log" 2>&1 || fail "$what" "$work/log"
}

quietly "cmake --install" cmake --install "$build" --prefix "$work/first"
# Moved as a whole, it works as well. A file more in its corpus tells it from the source tree's.
mv "$work/first" "$work/prefix"
printf '# Catches: nothing.\nappend source=constant tokens=1 top_k=1 shared=1\n' >"$work/prefix/share/twincheck/corpus/edges/zz.case"
for file in bin/twincheck lib/libtwincheck_cpu.so lib/libtwincheck_hip_cpu.a include/twincheck/contract/candidate.h \
  include/twincheck/hip_cpu/hip/hip_runtime.h lib/cmake/twincheck/twincheckConfig.cmake \
  share/bash-completion/completions/twincheck share/zsh/site-functions/_twincheck share/doc/twincheck/LICENSE; do
  [[ -e $work/prefix/$file ]] || fail "$file is not installed"
done
cd -- "$work"
twincheck=$work/prefix/bin/twincheck
quietly "list" "$twincheck" list
if grep -q -F -e "$root/" -e "$build/" "$work/log"; then fail "list names the source or the build tree" "$work/log"; fi
grep -q -F "$work/prefix/lib/libtwincheck_cpu.so" "$work/log" || fail "list does not find its own candidates" "$work/log"
files_of() { sed -n 's/.* corpus cases in \([0-9]*\) files.*/\1/p' "$work/log"; }
verify=(verify --candidate libtwincheck_cpu.so --cases 100 --save '')
quietly "verify in the build tree" "$build/bin/twincheck" "${verify[@]}"
files=$(files_of)
quietly "verify where it is installed" "$twincheck" "${verify[@]}"
[[ $(files_of) == $((files + 1)) ]] || fail "the corpus is not the installed one, $files files and one" "$work/log"
if [[ -d $build/lib/mutants ]]; then
  find "$work/prefix/lib/twincheck/mutants" -name 'libmutant_*' ! -name 'libmutant_00*' -delete  # a few tell where they are
  quietly "the mutants" "$twincheck" mutants
fi
if [[ -e $work/prefix/lib/libtwincheck_python.so ]] && python3 -c 'import numpy' 2>/dev/null; then
  quietly "a Python candidate" "$twincheck" verify --no-corpus --cases 20 --save '' --candidate "$root/examples/python/numpy_append.py"
fi

# The example project. Its kernel is changed by one line to be wrong, and back.
mkdir project
cp "$root/examples/cmake/CMakeLists.txt" "$root/examples/c/append.c" project/
quietly "configuring the example" cmake -S project -B project/build -DCMAKE_PREFIX_PATH="$work/prefix"
build_and_test() { cmake --build project/build && ctest --test-dir project/build --output-on-failure; }
quietly "a right kernel passes" build_and_test
grep -q "gate.my_kernel .* *Passed" "$work/log" || fail "the gate did not run" "$work/log"
[[ -e project/build/twincheck/gate.my_kernel/junit.xml ]] || fail "no report"
sed -i 's/a->base_id + s/a->base_id/' project/append.c
if cmp -s project/append.c "$root/examples/c/append.c"; then fail "the example has no line to break"; fi
if build_and_test >"$work/log" 2>&1; then fail "a wrong kernel passes" "$work/log"; fi
grep -q "law=appended_ids" "$work/log" || fail "the failure does not name its law" "$work/log"
grep -q "replay: twincheck replay --candidate" "$work/log" || fail "the failure has no replay line" "$work/log"

# What it declares: a GPU where the platform has one, and its label.
cat >>project/CMakeLists.txt <<'CMAKE'
twincheck_add_gate(gate.hip CANDIDATE my_kernel TIER pr PLATFORM hip)
CMAKE
quietly "configuring with a GPU" cmake -S project -B project/build
ctest --test-dir project/build --show-only=json-v1 >tests.json
grep -q '"RESOURCE_GROUPS"' tests.json || fail "hip declares no GPU" tests.json
if (($(grep -c '"RESOURCE_GROUPS"' tests.json) != 1)); then fail "cpu declares a GPU" tests.json; fi
for wrong in "CANDIDATE my_kernel TIER fast" "CANDIDATE my_kernel PLATFORM vulkan" "TIER pr" "CANDIDATE my_kernel SPEED 9"; do
  cp "$root/examples/cmake/CMakeLists.txt" project/
  printf 'twincheck_add_gate(gate.wrong %s)\n' "$wrong" >>project/CMakeLists.txt
  if cmake -S project -B project/build >"$work/log" 2>&1; then fail "accepted: $wrong"; fi
  grep -q "twincheck_add_gate(gate.wrong)" "$work/log" || fail "no word of what is wrong in: $wrong" "$work/log"
done

# A HIP kernel builds for the CPU platform against the installed runtime.
if [[ -e /usr/include/boost/context/fiber.hpp ]]; then
  mkdir hip
  cp "$root/examples/hip/append.hip.cpp" hip/
  cat >hip/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(hip_kernels LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 17)
enable_testing()
find_package(twincheck REQUIRED)
add_library(mine MODULE append.hip.cpp)
target_link_libraries(mine PRIVATE twincheck::hip_cpu)
twincheck_add_gate(gate.mine CANDIDATE mine TIER smoke ARGUMENTS --no-corpus)
CMAKE
  quietly "configuring a HIP kernel" cmake -S hip -B hip/build -DCMAKE_PREFIX_PATH="$work/prefix"
  quietly "building it" cmake --build hip/build
  quietly "a HIP kernel on the CPU platform" ctest --test-dir hip/build --output-on-failure
fi
echo "installed, moved, used"
