# shellcheck shell=bash disable=SC2034
# What campaign.sbatch and merge.sbatch share: the campaign's folder, and one shard of its work.
#
# The folder lies where every node sees it. Nothing in it is locked; what several processes write is named after its contents
# and appears by a rename, and what one task writes is that task's:
#
#   plan                       what the campaign was started with
#   reports/SHARD              twincheck's report of a shard
#   tasks/TASK/corpus, found   what a task's fuzzer found, as it finds it
#   corpus/FUZZER              the inputs of all tasks
#   failures/FUZZER            artifacts of libFuzzer (crash-SHA1, ...) and mismatch-*.case
#   failures/cases             failing cases of the properties
#   merged                     what merge.sbatch makes of all this

all_fuzzers=(fuzz_wrapper fuzz_append fuzz_sequence fuzz_case)

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }
usage() {
  complain "$(basename -- "$0"): $1; see docs/scaling.md"
  exit 2
}

# take_arguments ARGUMENT...: leaves folder, and the plan's settings as they were given.
take_arguments() {
  folder="" properties="" fuzz=0 fuzzers="${all_fuzzers[*]}" seed=0x7c1 tasks="" shards="" minimise=10
  while (($# > 0)); do
    case $1 in
      --folder | --properties | --fuzz | --fuzzers | --seed | --tasks | --shards | --minimise)
        if (($# < 2)); then usage "$1 takes a value"; fi
        printf -v "${1#--}" '%s' "$2"
        shift
        ;;
      *) usage "unknown argument '$1'" ;;
    esac
    shift
  done
  if [[ -z $folder ]]; then usage "no --folder DIR, where every node sees it"; fi
  local name
  for name in fuzz tasks shards minimise; do
    if [[ ! ${!name} =~ ^[0-9]*$ ]]; then usage "--$name takes a number, not '${!name}'"; fi
  done
  if [[ ! $seed =~ ^(0x)?[0-9a-fA-F]{1,16}$ ]]; then usage "--seed takes up to 16 hexadecimal digits, not '$seed'"; fi
  for name in $fuzzers; do
    if [[ " ${all_fuzzers[*]} " != *" $name "* ]]; then usage "no fuzzer '$name': expected some of ${all_fuzzers[*]}"; fi
  done
  mkdir -p -- "$folder"
  folder=$(cd -- "$folder" && pwd)
}

# appear FILE PLACE: a copy of FILE in PLACE, there as a whole or not at all. What is there stays.
appear() {
  if [[ -e $2 ]]; then return; fi
  mkdir -p -- "$(dirname -- "$2")"
  local unfinished
  unfinished=$(dirname -- "$2")/.$(basename -- "$2").$HOSTNAME.$$
  cp -- "$1" "$unfinished"
  mv -f -- "$unfinished" "$2"
}

# settle_plan: the first task writes the plan, the others must have been started with the same.
settle_plan() {
  local written
  if [[ -z $tasks ]]; then tasks=${SLURM_ARRAY_TASK_COUNT-1}; fi
  if [[ -z $shards ]]; then shards=$tasks; fi
  written=$folder/.plan.$HOSTNAME.$$
  printf '%s\n' "tasks=$tasks" "shards=$shards" "seed=$seed" "fuzz=$fuzz" "fuzzers=$fuzzers" "properties=$properties" >"$written"
  ln -T -- "$written" "$folder/plan" 2>/dev/null || true
  if ! cmp -s -- "$written" "$folder/plan"; then
    rm -f -- "$written"
    usage "$folder is a campaign with another plan: $(tr '\n' ' ' <"$folder/plan")"
  fi
  rm -f -- "$written"
}

# read_plan: what the tasks were started with.
read_plan() {
  if [[ ! -e $folder/plan ]]; then usage "there is no campaign in $folder"; fi
  local name value
  while IFS='=' read -r name value; do
    case $name in tasks | shards | seed | fuzz | fuzzers | properties) printf -v "$name" '%s' "$value" ;; esac
  done <"$folder/plan"
}

# The programs: beside the folder that the job was submitted from, unless told.
find_programs() {
  local root=${TWINCHECK_ROOT-${SLURM_SUBMIT_DIR-$PWD}}
  twincheck=${TWINCHECK_PROGRAM-$root/build/dev/bin/twincheck}
  fuzz_bin=${TWINCHECK_FUZZ_BIN-$root/build/fuzz-fast/bin}
  seeds=$root/corpus/seeds
  if [[ -n $properties && ! -x $twincheck ]]; then usage "no $twincheck: submit from the project's root, built, or set TWINCHECK_PROGRAM"; fi
  local name
  engine=(-timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=256)
  if ((fuzz > 0)); then
    for name in $fuzzers; do
      if [[ ! -x $fuzz_bin/$name ]]; then usage "no $fuzz_bin/$name: build preset fuzz-fast, or set TWINCHECK_FUZZ_BIN"; fi
    done
    mapfile -t -O 3 engine < <(sed -n 's/^\([a-z_]*\) *= *\(.*\)$/-\1=\2/p' "$root/fuzz/libfuzzer.options" 2>/dev/null)
  fi
}

# What runs in the background while its end is waited for, so that a signal is heard at once. A signal ends it and sets
# `stopping` to its name.
child=0 stopping=""
stop() {
  stopping=$1
  if ((child > 0)); then kill -TERM "$child" 2>/dev/null || true; fi
}
run_child() {
  "$@" &
  child=$!
  local status=0
  wait "$child" || status=$?
  while kill -0 "$child" 2>/dev/null; do
    status=0
    wait "$child" || status=$?
  done
  child=0
  return "$status"
}

# is_done SHARD: it has a report, of a run that was neither interrupted nor unable to go on.
is_done() {
  local report=$folder/reports/$1/results.json
  [[ -e $report ]] && grep -q '^ "interrupted": false,$' "$report" && grep -q '^ "error": "",$' "$report"
}

# run_shard SHARD TASK: the shard of the properties. What an attempt that died has written is written again.
run_shard() {
  local found=$folder/tasks/$2/cases.$1 arguments file
  rm -rf -- "$found"
  read -ra arguments <<<"$properties"
  say "shard $1 of $shards: seed $seed"
  run_child "$twincheck" "${arguments[@]}" --seed "$seed" --shard "$1/$shards" --jobs "${SLURM_CPUS_PER_TASK-1}" \
    --report "$folder/reports/$1" --save "$found" --no-color || true
  for file in "$found"/*.case; do
    if [[ -e $file ]]; then appear "$file" "$folder/failures/cases/$(basename -- "$file")"; fi
  done
  rm -rf -- "$found"
}

# publish TASK: what its fuzzer has found, to where everybody sees it. An input whose name is not its contents' was cut short
# by the end of its process, and gets the name that it deserves.
publish() {
  local task=$folder/tasks/$1 fuzzer file name
  for fuzzer in "${all_fuzzers[@]}"; do
    for file in "$task/corpus/$fuzzer"/*; do
      if [[ ! -e $file ]]; then continue; fi
      name=${file##*/}
      if [[ -e $folder/corpus/$fuzzer/$name ]]; then continue; fi
      appear "$file" "$folder/corpus/$fuzzer/$(sha1sum -- "$file" | cut -d' ' -f1)"
    done
    for file in "$task/found/$fuzzer"/*; do
      if [[ -e $file ]]; then appear "$file" "$folder/failures/$fuzzer/$(basename -- "$file")"; fi
    done
  done
}
