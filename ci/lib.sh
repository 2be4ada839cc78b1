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

# take_preset: splits `--preset NAME` off `arguments`; leaves `preset`, dev where it is not given.
preset=dev
take_preset() {
  local rest=() i
  for ((i = 0; i < ${#arguments[@]}; ++i)); do
    if [[ ${arguments[i]} != --preset ]]; then
      rest+=("${arguments[i]}")
      continue
    fi
    preset=${arguments[++i]-}
    if ! grep -q "\"configurePreset\": \"$preset\"" "$root/CMakePresets.json"; then
      complain "--preset: there is no preset '$preset', expected one of $(cd -- "$root" && cmake --list-presets=build | sed -n 's/^ *"\(.*\)".*/\1/p' | tr '\n' ' ')"
      exit 2
    fi
  done
  arguments=("${rest[@]}")
}

# amd_architectures: of the AMD GPUs that the kernel driver lists in $kfd_nodes, as compilers name them, joined by `;`.
kfd_nodes=/sys/class/kfd/kfd/topology/nodes
amd_architectures() {
  local version names=()
  while read -r version; do
    # 90402 is gfx942, 110001 is gfx1101, 90010 is gfx90a: the last two places are one hexadecimal digit each.
    names+=("$(printf 'gfx%d%x%x' $((version / 10000)) $((version / 100 % 100)) $((version % 100)))")
  done < <(sed -n 's/^gfx_target_version \([1-9][0-9]*\)$/\1/p' "$kfd_nodes"/*/properties 2>/dev/null | sort -nu)
  local IFS=';'
  printf '%s' "${names[*]}"
}

# build [TARGET...]: configures the preset and builds the targets, everything where none is given, on all cores. The hip
# platform is built for $TWINCHECK_HIP_ARCHITECTURES, or for the GPUs that are here, or for what the preset says.
build() {
  local started=$SECONDS targets=() definitions=() architectures
  if (($# > 0)); then targets=(--target "$@"); fi
  if command -v ccache >/dev/null; then
    export CMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER-ccache}
    export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}
    # Without these ccache refuses every file that uses a precompiled header.
    export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS-pch_defines,time_macros}
  fi
  architectures=${TWINCHECK_HIP_ARCHITECTURES-$(amd_architectures)}
  if [[ -n $architectures ]]; then definitions+=("-DTWINCHECK_HIP_ARCHITECTURES=$architectures"); fi
  # A subshell: relative paths in the caller's arguments keep their meaning.
  (cd -- "$root" && cmake --preset "$preset" "${definitions[@]}" && cmake --build --preset "$preset" --parallel "$(nproc)" "${targets[@]}") || return
  say "build took $((SECONDS - started)) s"
}
