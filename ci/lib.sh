# shellcheck shell=bash
# What the scripts of this folder share. Source it after `set -euo pipefail`.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }

# take_no_install ARGUMENT...: splits --no-install off; leaves `install` (an array, empty or that option) and `arguments`.
# shellcheck disable=SC2034
take_no_install() {
  install=()
  arguments=()
  local argument
  for argument in "$@"; do
    if [[ $argument == --no-install ]]; then install=(--no-install); else arguments+=("$argument"); fi
  done
}

# build [TARGET...]: configures preset dev and builds the targets, everything where none is given, on all cores.
build() {
  local started=$SECONDS targets=()
  if (($# > 0)); then targets=(--target "$@"); fi
  if command -v ccache >/dev/null; then
    export CMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER-ccache}
    export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}
    # Without these ccache refuses every file that uses a precompiled header.
    export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS-pch_defines,time_macros}
  fi
  # A subshell: relative paths in the caller's arguments keep their meaning.
  (cd -- "$root" && cmake --preset dev && cmake --build --preset dev --parallel "$(nproc)" "${targets[@]}") || return
  say "build took $((SECONDS - started)) s"
}
