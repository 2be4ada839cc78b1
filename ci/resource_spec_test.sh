#!/usr/bin/env bash
# Is the resource specification what is found, and does it spread a gate's shards over GPUs? The GPUs here are names.
#
#   ci/resource_spec_test.sh PROGRAM CMAKE CANDIDATE    a right candidate in host memory
set -euo pipefail
exec </dev/null
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=$1 cmake=$2 candidate=$3
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
mkdir "$work/bin" "$work/project"
fail() {
  printf 'FAIL %s\n' "$1"
  if (($# > 1)); then tail -n 40 -- "$2"; fi
  exit 1
}
# tool NAME TEXT: a program that prints the text.
tool() {
  printf '#!/bin/sh\ncat <<"END"\n%s\nEND\n' "$2" >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}
# said EXPECTED ENVIRONMENT... -- ARGUMENT...
said() {
  local expected=$1 variables=() out status=0
  shift
  while [[ $1 != -- ]]; do
    variables+=("$1")
    shift
  done
  out=$(env "${variables[@]}" PATH="$work/bin:/usr/bin:/bin" "$here/resource-spec" "${@:2}" 2>/dev/null) || status=$?
  [[ "$status $out" == "$expected" ]] || fail "resource-spec ${*:2} with ${variables[*]}: found '$status $out', expected '$expected'"
}
gpus() {
  local slots="" id
  for ((id = 0; id < $1; ++id)); do slots+="${slots:+, }{\"id\": \"$id\", \"slots\": 1}"; done
  printf '0 {"version": {"major": 1, "minor": 0}, "local": [{"gpus": [%s]}]}' "$slots"
}

tool listing 'platforms
  cpu    here
  hip    not here: hipErrorNoDevice
  cuda   here   device 0: NVIDIA H100   device 1: NVIDIA H100   device 2: NVIDIA H100
candidates'
said "$(gpus 3)" TWINCHECK_PROGRAM="$work/bin/listing" --
said "$(gpus 3)" TWINCHECK_PROGRAM="$work/bin/listing" -- cuda
said "2 " TWINCHECK_PROGRAM="$work/bin/listing" -- hip
said "2 " TWINCHECK_PROGRAM="$work/bin/listing" -- vulkan
tool nvidia-smi 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-1)'
said "$(gpus 2)" TWINCHECK_PROGRAM=/nonexistent --
tool rocminfo '  Device Type:             CPU
  Device Type:             GPU
  Device Type:             GPU
  Device Type:             GPU
  Device Type:             GPU'
said "$(gpus 4)" TWINCHECK_PROGRAM=/nonexistent -- hip
tool nvidia-smi 'No devices found.'
tool rocminfo 'ROCk module is NOT loaded'
said "2 " TWINCHECK_PROGRAM=/nonexistent --

# A program in twincheck's place that says which GPU it was given and when, and judges in host memory.
cat >"$work/bin/twincheck" <<END
#!/bin/sh
if [ "\$1" = gate ]; then
  echo "begin \$CTEST_RESOURCE_GROUP_0_GPUS" >>"$work/log"
  sleep 0.3
fi
"$program" "\$@"
status=\$?
if [ "\$1" = gate ]; then echo "end \$CTEST_RESOURCE_GROUP_0_GPUS" >>"$work/log"; fi
exit \$status
END
chmod +x "$work/bin/twincheck"
cat >"$work/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(spread LANGUAGES NONE)
enable_testing()
add_executable(twincheck::twincheck IMPORTED)
set_target_properties(twincheck::twincheck PROPERTIES IMPORTED_LOCATION "$work/bin/twincheck")
include($here/../cmake/twincheck_add_gate.cmake)
twincheck_add_gate(gate CANDIDATE "$candidate" TIER smoke PLATFORM cuda SHARDS 6 ARGUMENTS --cases 600 --no-corpus)
END
tool nvidia-smi 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-1)'
TWINCHECK_PROGRAM=/nonexistent PATH=$work/bin:$PATH "$here/resource-spec" >"$work/gpus.json"
"$cmake" -S "$work/project" -B "$work/build" >"$work/configure" 2>&1 || fail "the project is not configured" "$work/configure"
ctest=$(dirname -- "$cmake")/ctest
run() { "$ctest" --test-dir "$work/build" --parallel 6 --resource-spec-file "$work/gpus.json" --output-on-failure >"$work/out" 2>&1; }
run || fail "the gate does not pass" "$work/out"
(($(grep -c '^begin id:' "$work/log") == 6)) || fail "not six shards on GPUs" "$work/log"
for id in 0 1; do
  grep -q "^begin id:$id,slots:1" "$work/log" || fail "no shard on GPU $id" "$work/log"
  awk -v id="id:$id,slots:1" '$2 == id { n += $1 == "begin" ? 1 : -1; if (n > 1) exit 1 }' "$work/log" || fail "two shards at once on GPU $id" "$work/log"
done
awk '{ n += $1 == "begin" ? 1 : -1; if (n > 1) both = 1 } END { exit !both }' "$work/log" || fail "never two GPUs at once" "$work/log"
report=$work/build/twincheck/gate/results.json
grep -q '^ "cases": 600,$' "$report" || fail "the merged report has not all of 600 cases" "$report"
(($(grep -c '^   "work": ' "$report") == 6)) || fail "the merged report is not of six parts" "$report"
# A shard that dies leaves the gate red, whatever an earlier run has left behind.
# shellcheck disable=SC2016  # the stub expands it
sed -i 's/^if \[ "$1" = gate \]; then$/&\n  case "$*" in *shard*4\/6*) kill -9 $$ ;; esac/' "$work/bin/twincheck"
if run; then fail "the gate passes without one of its shards"; fi
grep -Eq 'gate.shard.4 .*\*\*\*|gate.shard.4 .*(Failed|Exception)' "$work/out" || fail "the shard did not die" "$work/out"
grep -Eq '[0-9]+ - gate \(Failed\)' "$work/out" || fail "the gate does not fail" "$work/out"
printf 'passed: six shards on two GPUs, merged\n'
