#!/usr/bin/env bash
# ci/setup against a machine of stubs: what it installs, when, and what it says instead.
set -euo pipefail

setup=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/setup
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
failures=0

# machine USER_ID INSTALLED SUDO: a PATH on which only the packages of INSTALLED are there. SUDO: none, free or asking.
# An installed package is a file in $work/packages; the stubs log their command lines to $work/log.
machine() {
  rm -rf -- "${work:?}"/*
  mkdir "$work/bin" "$work/packages"
  : >"$work/log"
  local tool package
  for tool in bash env dirname rm mkdir touch cat grep; do ln -s "$(command -v "$tool")" "$work/bin/$tool"; done
  for package in $2; do touch "$work/packages/$package"; done
  stub id "echo $1"
  stub dpkg-query "shift 3; for p in \"\$@\"; do if [ -e '$work/packages/'\"\$p\" ]; then echo \"installed \$p\"; fi; done; [ \$# -lt 3 ]"
  stub apt-cache "[ \"\$2\" != '${absent-}' ]"
  # Installs what stands after its options.
  stub apt-get "echo \"apt-get \$*\" >>'$work/log'
for a in \"\$@\"; do case \$a in -*|*=*|update|install) ;; *) [ '${broken_apt-}' = '' ] && touch '$work/packages/'\"\$a\";; esac; done
case \"\$*\" in *update*) exit ${update_status-0};; esac
[ '${broken_apt-}' = '' ]"
  case $3 in
    free) stub sudo "echo \"sudo \$*\" >>'$work/log'; shift; [ \"\$1\" = true ] || exec \"\$@\"" ;;
    asking) stub sudo "echo \"sudo \$*\" >>'$work/log'; exit 1" ;;
  esac
}
stub() {
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}

# The commands that stand in for packages are absent from the stubs' PATH, so only dpkg-query's answers count.
run() {
  status=0
  output=$(PATH=$work/bin "$setup" "$@" 2>&1) || status=$?
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
ended_in() { [[ $status == "$1" ]]; }
log_empty() { [[ ! -s $work/log ]]; }

required="g++ cmake ninja-build patch libeigen3-dev libgtest-dev libgmock-dev librapidcheck-dev libcli11-dev libfmt-dev nlohmann-json3-dev"
required+=" libboost-context-dev libmpfr-dev"
optional="lld ccache clang libclang-rt-dev clang-format-14 shellcheck python3-dev python3-venv pybind11-dev python3-numpy chromium zsh afl++ zip unzip slurm-wlm munge clang-22 lld-22 llvm-22 hipcc libamdhip64-dev rocm-device-libs"

machine 1000 "$required $optional" none
run test
expect "nothing missing: ends in 0" ended_in 0
expect "nothing missing: says nothing" test -z "$output"
expect "nothing missing: installs nothing" log_empty

machine 0 "" none
run test
expect "root: ends in 0" ended_in 0
expect "root: says what it installs" said "installing $required"
expect "root: updates the lists first" logged "update"
expect "root: installs the required, asking nothing, without recommended packages" \
  logged "install -y --no-install-recommends $required"
expect "root: installs what only tests want" logged "install -y --no-install-recommends .*libclang-rt-dev"
run test
expect "root, again: nothing is missing any more" test -z "$output"

machine 0 "" none
run gate
expect "gate: ends in 0" ended_in 0
expect "gate: leaves out what only tests want" not logged "libclang-rt-dev"

machine 1000 "${required/cmake /}" none
stub cmake ""
run gate
expect "cmake from elsewhere: does as well" ended_in 0
expect "cmake from elsewhere: says nothing" test -z "$output"

machine 0 "${required/cmake /}" none
run gate
expect "one missing: installs that one" logged "install -y --no-install-recommends cmake"
expect "one missing: and no other" not logged "libmpfr-dev"

machine 1000 "${required/libmpfr-dev/}" free
run gate
expect "free sudo: ends in 0" ended_in 0
expect "free sudo: installs through sudo -n" logged "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get .*install .*libmpfr-dev"

line="sudo apt-get update && sudo apt-get install -y --no-install-recommends libmpfr-dev"
for sudo in none asking; do
  machine 1000 "${required/libmpfr-dev/} $optional" "$sudo"
  run test
  expect "user, sudo $sudo: ends in 2" ended_in 2
  expect "user, sudo $sudo: prints the line" said "$line"
  expect "user, sudo $sudo: installs nothing" not logged "apt-get"
done

machine 0 "${required/libmpfr-dev/} $optional" none
run test --no-install
expect "--no-install: ends in 2" ended_in 2
expect "--no-install: prints the line" said "$line"
expect "--no-install: installs nothing" log_empty

machine 1000 "$required ${optional/ccache/}" none
run test
expect "user, an optional one missing: goes on" ended_in 0
expect "user, an optional one missing: by name" said "ccache"
expect "user, an optional one missing: installs nothing" log_empty

absent=ccache machine 0 "$required ${optional/ccache/}" none
run test
expect "the distribution has no ccache: goes on" ended_in 0
expect "the distribution has no ccache: by name" said "not here: ccache"
expect "the distribution has no ccache: does not try" not logged "install"

broken_apt=yes machine 0 "${required/libmpfr-dev/} $optional" none
run test
expect "apt-get fails on a required one: ends in 2" ended_in 2
expect "apt-get fails on a required one: prints the line" said "${line//sudo /}"

broken_apt=yes machine 0 "$required ${optional/ccache/}" none
run test
expect "apt-get fails on an optional one: goes on" ended_in 0
expect "apt-get fails on an optional one: by name" said "not here: ccache"

update_status=100 machine 0 "" none
run test
expect "the update fails: installs from the lists that are here" ended_in 0

rm "$work/bin/dpkg-query"
run test
expect "no dpkg: goes on" ended_in 0
expect "no dpkg: says so" said "no dpkg here"

machine 0 "" none
run everything
expect "an unknown argument: ends in 2" ended_in 2
expect "an unknown argument: names it" said "'everything'"
expect "an unknown argument: installs nothing" log_empty

printf '%d expectations failed\n' "$failures"
((failures == 0))
