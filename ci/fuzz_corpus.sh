# shellcheck shell=bash disable=SC2154
# ci/fuzz: the seeds, and what they reach.

make_seeds() {
  local fuzzer sum name file
  build_preset fuzz-fast fuzz_seeds "${fuzzers[@]}"
  rm -rf -- "$work/seeds"
  mkdir -p "$work/seeds"
  "$fast/fuzz_seeds" corpus "$work/seeds"
  for fuzzer in "${fuzzers[@]}"; do
    rm -rf -- "$work/merged"
    mkdir "$work/merged"
    if ! "$fast/$fuzzer" "${engine[@]}" -max_len=4096 -set_cover_merge=1 "$work/merged" "$work/seeds/$fuzzer" >"$work/merge.log" 2>&1; then
      tail -n 20 "$work/merge.log" >&2
      say "fuzz: failed: $fuzzer could not merge its seeds"
      exit 1
    fi
    rm -rf -- "corpus/seeds/$fuzzer"
    mkdir -p "corpus/seeds/$fuzzer"
    # libFuzzer names a file by its bytes; a seed is known by where it comes from.
    local -A name_of=()
    while read -r sum name; do name_of[$sum]=${name_of[$sum]-$name}; done < <(cd "$work/seeds/$fuzzer" && sha1sum -- *)
    for file in "$work/merged"/*; do
      name=${name_of[$(basename -- "$file")]}
      cp -- "$work/seeds/$fuzzer/$name" "corpus/seeds/$fuzzer/$name"
    done
    find "$work/seeds/$fuzzer" -name 'picked-*' -exec cp -t "corpus/seeds/$fuzzer" {} +
  done
  "$fast/fuzz_seeds" corpus --check corpus/seeds
}

# What the seeds do not reach is what fuzz/unreached.txt lists: lines of optimized/ (the unfused baseline and the platforms
# aside), and branches of the wrapper (append, plan and validate.cpp).
coverage_of_seeds() {
  local folder=build/fuzz-coverage fuzzer objects=() suffix="" tool
  if command -v llvm-cov-14 >/dev/null; then suffix=-14; fi
  for tool in "llvm-profdata$suffix" "llvm-cov$suffix"; do
    command -v "$tool" >/dev/null || usage "not here: package llvm (for $tool)"
  done
  if ! { cmake -G Ninja -S . -B "$folder" -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang -DTWINCHECK_TESTS=OFF \
    -DTWINCHECK_HIP=OFF -DTWINCHECK_CUDA=OFF "-DCMAKE_CXX_FLAGS=-fprofile-instr-generate -fcoverage-mapping" \
    "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1" &&
    cmake --build "$folder" --parallel "$(nproc)" --target "${all_fuzzers[@]}"; } >"$work/build-coverage.log" 2>&1; then
    tail -n 30 "$work/build-coverage.log" >&2
    usage "the build for coverage failed: $work/build-coverage.log"
  fi
  rm -f -- "$folder"/*.profraw
  for fuzzer in "${all_fuzzers[@]}"; do
    LLVM_PROFILE_FILE=$folder/$fuzzer.profraw "$folder/bin/$fuzzer" "corpus/seeds/$fuzzer"
    objects+=(-object "$folder/bin/$fuzzer")
  done
  "llvm-profdata$suffix" merge -o "$folder/all.profdata" "$folder"/*.profraw
  # Programs have functions of the same name (LLVMFuzzerTestOneInput), none of which is looked at.
  "llvm-cov$suffix" export -format=lcov "${objects[@]:1}" "-instr-profile=$folder/all.profdata" \
    '--ignore-filename-regex=(platform|unfused)' >"$folder/all.lcov" 2>"$folder/warnings"
  awk -f ci/fuzz_coverage.awk fuzz/unreached.txt "$folder/all.lcov" || exit 1
}
