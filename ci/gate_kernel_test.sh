#!/usr/bin/env bash
# ci/gate-kernel as a workflow calls it, on the example in C: right, wrong, known to be wrong, and not to be built.
#
#   ci/gate_kernel_test.sh PROGRAM
set -euo pipefail
TWINCHECK=$(cd -- "$(dirname -- "$1")" && pwd)/$(basename -- "$1")
export TWINCHECK
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"
failures=0

# expect STATUS WORDS VARIABLE=VALUE...
expect() {
  local expected=$1 words=$2 status=0
  shift 2
  env TIER=smoke ARGUMENTS="--seconds 0.2 --jobs 1" "$@" "$root/ci/gate-kernel" >log 2>&1 </dev/null || status=$?
  if [[ $status != "$expected" ]] || ! grep -q -F -e "$words" log; then
    printf 'FAIL %s: status %s, expected %s and "%s"; said:\n' "$*" "$status" "$expected" "$words"
    tail -n 15 log
    failures=$((failures + 1))
  fi
}

cp "$root/examples/c/append.c" .
# shellcheck disable=SC2016  # for the kernel's build
build='BUILD=cc -std=c11 -O2 -shared -fPIC -I"$TWINCHECK_INCLUDE" append.c -o libmine.so -lm'
expect 2 "CANDIDATE is not set" "$build"
expect 2 "libmine.so is not there after the build" CANDIDATE=libmine.so BUILD=true
expect 2 "the kernel's build failed" CANDIDATE=libmine.so BUILD='false; true'
for shard in 1/2 2/2; do
  expect 0 "PASSED: example.c is right" CANDIDATE=libmine.so "$build" SHARD=$shard
  [[ -e twincheck-report/junit.xml ]] || failures=$((failures + 1))
done
sed -i 's/(int32_t)(a->base_id + s)/(int32_t)a->base_id/' append.c
expect 1 "law=appended_ids" CANDIDATE=./libmine.so "$build"
expect 1 "::error title=example.c broke appended_ids" CANDIDATE=./libmine.so "$build" GITHUB_ACTIONS=true
printf '%s\n' 'law: *' 'case: *' 'on: cpu' 'reason: one id for all' 'link: none' 'expires: 2999-01-01' >known.txt
expect 0 "PASSED: example.c" CANDIDATE=libmine.so "$build" KNOWN_FAILURES=known.txt

printf '%d expectations failed\n' "$failures"
((failures == 0))
