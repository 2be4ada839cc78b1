#!/usr/bin/env bash
# ci/lib.sh: what it makes of arguments, and of the GPUs that the kernel driver lists.
set -euo pipefail

# shellcheck source=ci/lib.sh
source "$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/lib.sh"
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
failures=0

expect() {
  if [[ $2 != "$3" ]]; then
    printf 'FAIL %s: "%s", expected "%s"\n' "$1" "$2" "$3"
    failures=$((failures + 1))
  fi
}

node() { mkdir -p "$work/$1" && printf 'cpu_cores_count 0\ngfx_target_version %s\nvendor_id 4098\n' "$2" >"$work/$1/properties"; }
kfd_nodes=$work/absent
expect "no driver" "$(amd_architectures)" ""
kfd_nodes=$work
node 0 0
expect "a CPU alone" "$(amd_architectures)" ""
node 1 90402
expect "MI300X" "$(amd_architectures)" "gfx942"
node 2 90402
node 3 110000
node 4 90010
expect "each once" "$(amd_architectures)" "gfx90a;gfx942;gfx1100"

take_no_install --platform hip --no-install --shard 1/2
expect "--no-install" "${install[*]}" "--no-install"
take_preset
expect "the rest stays in order" "${arguments[*]}" "--platform hip --shard 1/2"
expect "preset" "$preset" dev
arguments=(--tier pr --preset asan-ubsan --report r)
take_preset
expect "--preset" "$preset ${arguments[*]}" "asan-ubsan --tier pr --report r"
status=0
said=$(arguments=(--preset fast) && take_preset 2>&1) || status=$?
expect "an unknown preset" "$status" 2
expect "names it" "${said%%,*}" "--preset: there is no preset 'fast'"

printf '%d expectations failed\n' "$failures"
((failures == 0))
