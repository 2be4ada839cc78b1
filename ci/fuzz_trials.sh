# shellcheck shell=bash disable=SC2154
# ci/fuzz: are the mutants found that must be, and does the mutator help?

# A row of fuzz/mutants.txt is FUZZER MUTANT. A mutant of fuzz_case is a program of its own (fuzz/mutants), any other a library.
# trial PROGRAM MUTANT SEED SECONDS: tenths of a second until it is found, or nothing. Empty corpus, no dictionary.
trial() {
  local scratch started=${EPOCHREALTIME/[.,]/} program=$fast/$1 library="" status=0
  case $2 in
    codec_*) program=$fast/mutants/$2${1#fuzz_case} ;;
    ?*) library=$PWD/build/fuzz-fast/lib/${2/#mutant_/mutants/libmutant_}.so ;;
  esac
  scratch=$(mktemp -d)
  mkdir "$scratch/corpus"
  TWINCHECK_FUZZ_CANDIDATE=$library "$program" "${engine[@]}" "-max_total_time=$4" "-seed=$3" "-artifact_prefix=$scratch/" \
    "$scratch/corpus" >"$work/trial" 2>&1 9>&- || status=$?
  if ((status != 0)) && compgen -G "$scratch/*-*" >/dev/null; then
    say $(((${EPOCHREALTIME/[.,]/} - started) / 100000))
  elif ((status != 0 && status != 72)); then
    complain "$program with '$library' ended in $status: $(tail -n 1 "$work/trial")"
  fi
  rm -rf -- "$scratch"
}
# median PROGRAM MUTANT: in seconds, over $runs runs; `not found` where most were not.
median() {
  local times=() run
  for ((run = 1; run <= runs && interrupted == 0; ++run)); do times+=("$(trial "$1" "$2" "$run" 60)"); done
  printf '%s\n' "${times[@]/#/0}" | sed 's/^0$/9999/' | sort -n |
    awk '{ t[NR] = $1 } END { m = t[int((NR + 1) / 2)]; if (m == 9999) print "not found"; else printf "%.1f s\n", m / 10 }'
}

# rows MOST: `rows`, at most so many of each fuzzer that was asked for.
rows() {
  mapfile -t rows < <(awk -v "most=$1" -v "fuzzers= ${fuzzers[*]} " \
    '!/^#/ && index(fuzzers, " " $1 " ") && ++seen[$1] <= most' fuzz/mutants.txt)
}
finish_trials() {
  if ((interrupted)); then exit 130; fi
  say "fuzz: $1 not as they should be"
  if (($1 > 0)); then exit 1; fi
}

self_test() {
  local row fuzzer mutant after missed=0
  rows 1000
  # Production's own library is no mutant: a fuzzer that finds it cries wolf.
  build_preset fuzz-fast "${fuzzers[@]}" "${rows[@]#* }" twincheck_cpu
  say "| fuzzer | mutant | found after |"
  say "|---|---|---|"
  for row in "${rows[@]}"; do
    fuzzer=${row%% *} mutant=${row#* }
    after=$(median "$fuzzer" "$mutant")
    if ((interrupted)); then exit 130; fi
    if [[ $after == "not found" ]]; then missed=$((missed + 1)); fi
    say "| $fuzzer | ${mutant#mutant_} | $after |"
  done
  for fuzzer in "${fuzzers[@]}"; do
    mutant=libtwincheck_cpu
    if [[ $fuzzer == fuzz_case ]]; then mutant=""; fi
    after=$(trial "$fuzzer" "$mutant" 1 10)
    if [[ -z $after ]]; then continue; fi
    tail -n 20 "$work/trial"
    say "$fuzzer: finds something wrong with production's own"
    missed=$((missed + 1))
  done
  finish_trials "$missed"
}

with_and_without_mutator() {
  local row fuzzer mutant kind empty missed=0 with targets=("${fuzzers[@]}" "${fuzzers[@]/%/_plain}")
  rows 4
  for row in "${rows[@]}"; do
    targets+=("${row#* }")
    if [[ $row == fuzz_case* ]]; then targets+=("${row#* }_plain"); fi
  done
  build_preset fuzz-fast "${targets[@]}"
  say "| fuzzer | mutant | found after | without the mutator |"
  say "|---|---|---|---|"
  for row in "${rows[@]}"; do
    fuzzer=${row%% *} mutant=${row#* }
    with=$(median "$fuzzer" "$mutant")
    if [[ $with == "not found" ]]; then missed=$((missed + 1)); fi
    say "| $fuzzer | ${mutant#mutant_} | $with | $(median "${fuzzer}_plain" "$mutant") |"
    if ((interrupted)); then exit 130; fi
  done
  for fuzzer in "${fuzzers[@]}"; do
    for kind in "$fuzzer" "${fuzzer}_plain"; do
      empty=$(mktemp -d)
      "$fast/$kind" "${engine[@]}" -max_total_time=10 -seed=1 "-artifact_prefix=$work/edges-" "$empty" >"$work/edges-$kind" 2>&1 || true
      say "$kind: $(last "$work/edges-$kind" cov) edges after 10 s from an empty corpus"
      rm -rf -- "$empty"
    done
  done
  finish_trials "$missed"
}
