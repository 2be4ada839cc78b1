#!/usr/bin/env bash
# Does .clusterfuzzlite/build.sh do what ClusterFuzzLite and OSS-Fuzz expect of it? In a clean folder, with their variables:
# the products are instrumented, need nothing but the C library and what lies beside them, run their seeds where no source is
# left, take their dictionary and options, and find a bug that was planted.
#
#   ci/oss-fuzz/build_test.sh ENGINE SANITIZER FUZZER... [--keep DIR]    libfuzzer|afl, address|undefined|coverage
#   ci/oss-fuzz/build_test.sh --all                                      every fuzzer with every engine and sanitizer
#
# --keep: the products stay in DIR. Ends in 0, in 1 where something is not so, or in 77 where a tool is not here.
set -euo pipefail
exec </dev/null
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=ci/lib.sh
source "$here/../lib.sh"
# shellcheck source=ci/oss-fuzz/base_image.sh
source "$here/base_image.sh"

have() {
  if command -v "$1" >/dev/null; then return; fi
  say "not here: package $2"
  exit 77
}
fail() {
  complain "FAILED: $FUZZING_ENGINE, $SANITIZER: $1"
  if [[ -n ${2-} ]]; then tail -n 40 "$2" >&2; fi
  exit 1
}

if [[ ${1-} == --all ]]; then
  status=0
  for pair in libfuzzer:address libfuzzer:undefined libfuzzer:coverage afl:address afl:undefined; do
    "$0" "${pair%:*}" "${pair#*:}" fuzz_wrapper fuzz_append fuzz_sequence fuzz_case || status=$?
  done
  exit "$status"
fi
fuzzers=() keep=""
while (($# > 2)); do
  if [[ $3 == --keep ]]; then
    keep=$4
    set -- "$1" "$2" "${@:5}"
  else
    fuzzers+=("$3")
    set -- "$1" "$2" "${@:4}"
  fi
done
if [[ ! ${1-} =~ ^(libfuzzer|afl)$ || ! ${2-} =~ ^(address|undefined|coverage)$ || ${#fuzzers[@]} == 0 ]]; then
  complain "build_test.sh: expected ENGINE SANITIZER FUZZER..., or --all"
  exit 2
fi
have zip zip
have unzip unzip
base_builder "$1" "$2"

folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
export SRC=$folder/src WORK=$folder/work OUT=$folder/out TWINCHECK_FUZZERS="${fuzzers[*]}"
mkdir -p "$SRC/twincheck" "$WORK" "$OUT" "$folder/run"
if command -v ccache >/dev/null; then
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR=$folder CCACHE_NOHASHDIR=1
fi
if git -C "$root" rev-parse >/dev/null 2>&1; then
  git -C "$root" ls-files -z --cached --others --exclude-standard
else
  (cd -- "$root" && find . -path ./build -prune -o -type f -print0)
fi | (cd -- "$root" && tar --null --files-from=- --ignore-failed-read -cf - 2>/dev/null) | tar -C "$SRC/twincheck" -xf -

# build: as the image does.
build_products() {
  local log=$folder/build.log
  "$SRC/twincheck/.clusterfuzzlite/build.sh" >"$log" 2>&1 || fail "the build failed" "$log"
}

# calls FUZZER PREFIX: how many call a function of a sanitizer's.
calls() { objdump -d --no-show-raw-insn "$1" | grep -c "call .*<__$2" || true; }

looks_right() {
  local fuzzer=$1 file
  for file in "$fuzzer" "${fuzzer}_seed_corpus.zip" "$fuzzer.dict" "$fuzzer.options"; do
    if [[ ! -e $OUT/$file ]]; then fail "$file was not made"; fi
  done
  for file in $(ldd "$OUT/$fuzzer" | awk '$2 == "=>" { print $3 }'); do
    if [[ $file != "$OUT"/lib/* && ! $file =~ /lib(c|m|dl|pthread|rt|resolv)\.so ]]; then fail "$fuzzer needs $file"; fi
  done
  local asan ubsan
  asan=$(calls "$OUT/$fuzzer" asan)
  ubsan=$(calls "$OUT/$fuzzer" ubsan)
  case $SANITIZER in
    address) if ((asan < 1000 || ubsan > 200)); then fail "$fuzzer has $asan calls of ASan's and $ubsan of UBSan's"; fi ;;
    undefined) if ((asan > 0 || ubsan < 168)); then fail "$fuzzer has $asan calls of ASan's and $ubsan of UBSan's"; fi ;;
    coverage) if ((asan > 0 || ubsan > 200)); then fail "$fuzzer has $asan calls of ASan's and $ubsan of UBSan's"; fi ;;
  esac
}

# Where no source is left.
runs_its_seeds() {
  local fuzzer=$1 seeds=$folder/run/seeds log=$folder/run/log flags=() flag
  rm -rf -- "$seeds"
  unzip -q -d "$seeds" "$OUT/${fuzzer}_seed_corpus.zip"
  local count
  count=$(find "$seeds" -type f | wc -l)
  if ((count == 0)); then fail "$fuzzer has no seeds"; fi
  if [[ $FUZZING_ENGINE == afl ]]; then
    base_runner "$OUT/$fuzzer" "$seeds"/* >"$log" 2>&1 || fail "$fuzzer does not run its seeds" "$log"
    if (($(grep -c "Execution successful" "$log") != count)); then fail "$fuzzer ran other than its $count seeds" "$log"; fi
    return
  fi
  if [[ $SANITIZER == coverage ]]; then
    covers "$fuzzer" "$seeds"
    return
  fi
  while IFS= read -r flag; do flags+=("$flag"); done < <(sed -n 's/^\([a-z_]*\) *= *\(.*\)$/-\1=\2/p' "$OUT/$fuzzer.options")
  flags+=("-dict=$OUT/$fuzzer.dict" -rss_limit_mb=2560 -timeout=25)
  base_runner "$OUT/$fuzzer" -- "${flags[@]}" -seed=1337 -runs=$((count + 4)) "$seeds" >"$log" 2>&1 ||
    fail "$fuzzer does not run its seeds" "$log"
  if grep -q "unrecognized flag" "$log"; then fail "$fuzzer.options names an option that libFuzzer has not" "$log"; fi
  if ! grep -q "Dictionary: [1-9]" "$log"; then fail "$fuzzer.dict is no dictionary" "$log"; fi
  if ! grep -Eq "^INFO: Loaded .*: ([1-9][0-9]{2,}) " <(grep -E "inline 8-bit counters" "$log"); then
    fail "$fuzzer is hardly instrumented" "$log"
  fi
  if ! awk -v "count=$count" '$1 == "Done" { ran = $2 } END { exit !(ran >= count + 4) }' "$log"; then
    fail "$fuzzer ran less than its $count seeds and four more" "$log"
  fi
}

# covers FUZZER SEEDS: the kernel's lines are counted, and most of them run. As the base image does: a merge into nothing, since
# such a build counts lines and not edges.
covers() {
  local profile=$folder/run/$1 log=$folder/run/log
  mkdir -p "$folder/run/dummy"
  base_runner env LLVM_PROFILE_FILE="$profile.%1m.profraw" "$OUT/$1" -merge=1 -timeout=100 "$folder/run/dummy" "$2" >"$log" 2>&1 ||
    fail "$1 does not merge its seeds" "$log"
  if ! compgen -G "$profile.*.profraw" >/dev/null; then fail "$1 counts no lines" "$log"; fi
  local tool=() name
  for name in llvm-profdata llvm-cov; do
    if command -v "$name-14" >/dev/null; then name=$name-14; fi
    have "$name" llvm
    tool+=("$name")
  done
  "${tool[0]}" merge -o "$profile.data" "$profile".*.profraw
  local share
  share=$("${tool[1]}" export -summary-only "-instr-profile=$profile.data" "$OUT/$1" |
    tr ',{}' '\n' | awk -F'"' '/"filename":/ { at = $4 ~ "/optimized/(append|plan|validate)[.]cpp$" } at && /"lines"/ { in_lines = 1 }
      in_lines && /"count":/ { sub(/.*:/, ""); all += $0 } in_lines && /"covered":/ { sub(/.*:/, ""); covered += $0; in_lines = 0 }
      END { print int(100 * covered / (all ? all : 1)) }')
  say "$1: its seeds cover $share % of the lines of the kernel's files"
  if [[ $1 == fuzz_append ]] && ((share < 60)); then fail "$1's seeds cover $share % of the kernel's lines"; fi
}

# planted_in FUZZER: a patch that it must find within a minute.
planted_in() {
  case $1 in
    fuzz_append) say optimized/mutants/033-flat-tail-left-out.patch ;;
    fuzz_wrapper) say optimized/mutants/083-negative-tokens-are-none.patch ;;
    fuzz_sequence) say optimized/mutants/078-rows-of-the-larger-batch.patch ;;
    fuzz_case) say fuzz/mutants/010-column-counts-from-zero.patch ;;
  esac
}

finds_the_planted_bug() {
  local fuzzer=$1 log=$folder/run/log found=$folder/run/found started=$SECONDS
  rm -rf -- "$found"
  mkdir -p "$found/in"
  if [[ $FUZZING_ENGINE == libfuzzer ]]; then
    if (cd -- "$found" && base_runner "$OUT/$fuzzer" -max_total_time=60 -seed=1 "-artifact_prefix=$found/" "$found/in") >"$log" 2>&1 ||
      ! compgen -G "$found/crash-*" >/dev/null; then
      fail "$fuzzer does not find $2" "$log"
    fi
  else
    printf '\0' >"$found/in/zero"
    (cd -- "$found" && base_runner env AFL_BENCH_UNTIL_CRASH=1 afl-fuzz -m none -t 5000+ -V 60 -s 1 -x "$OUT/$fuzzer.dict" \
      -i "$found/in" -o "$found/out" -- "$OUT/$fuzzer") >"$log" 2>&1 || true
    if ! grep -q "All set and ready to roll" "$log"; then fail "afl-fuzz does not start $fuzzer" "$log"; fi
    if ! compgen -G "$found/out/default/crashes/id:*" >/dev/null; then fail "$fuzzer does not find $2" "$log"; fi
    base_runner "$OUT/$fuzzer" "$found"/out/default/crashes/id:* >"$log" 2>&1 && fail "its crash does not repeat" "$log"
  fi
  if ! grep -aq "replay: twincheck replay" "$log"; then fail "$fuzzer does not say how to replay what it found" "$log"; fi
  say "$fuzzer: found $(basename -- "$2" .patch) within $((SECONDS - started + 1)) s"
}

say "build_test: $FUZZING_ENGINE, $SANITIZER: ${fuzzers[*]}"
started=$SECONDS
build_products
say "built in $((SECONDS - started)) s"
mv -- "$SRC" "$folder/gone-src"
mv -- "$WORK" "$folder/gone-work"
for fuzzer in "${fuzzers[@]}"; do
  looks_right "$fuzzer"
  runs_its_seeds "$fuzzer"
done
mv -- "$folder/gone-src" "$SRC"
mv -- "$folder/gone-work" "$WORK"
if [[ -n $keep ]]; then
  rm -rf -- "$keep"
  mkdir -p "$(dirname -- "$keep")"
  cp -r -- "$OUT" "$keep"
fi
if [[ $SANITIZER == coverage ]]; then exit 0; fi
for fuzzer in "${fuzzers[@]}"; do
  planted=$(planted_in "$fuzzer")
  if [[ ! -e $SRC/twincheck/$planted ]]; then fail "there is no $planted to plant"; fi
  export OUT=$folder/planted TWINCHECK_FUZZERS=$fuzzer
  mkdir -p "$OUT"
  patch -s -d "$SRC/twincheck" -p1 <"$SRC/twincheck/$planted"
  build_products
  finds_the_planted_bug "$fuzzer" "$planted"
  patch -s -R -d "$SRC/twincheck" -p1 <"$SRC/twincheck/$planted"
done
say "passed: $FUZZING_ENGINE, $SANITIZER: ${fuzzers[*]}"
