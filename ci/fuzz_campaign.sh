# shellcheck shell=bash disable=SC2154
# ci/fuzz: the campaign, and what becomes of its findings. A finding is what libFuzzer leaves in $work/FUZZER/artifacts
# (crash-*, timeout-*, oom-*, leak-*), with the cases that it was as NAME.case beside it.

findings_of() { find "$work/$1/artifacts" -type f -regextype egrep -regex '.*/(crash|timeout|oom|leak)-[^.]*' 2>/dev/null | sort; }
count_findings() { findings_of "$1" | wc -l; }

# corpora_of FUZZER: its own corpus first, then the seeds, then what the other fuzzers found.
corpora_of() {
  local other
  printf '%s\n' "$work/$1/corpus" "corpus/seeds/$1"
  for other in "${all_fuzzers[@]}"; do
    if [[ $other != "$1" && -d $work/$other/corpus ]]; then say "$work/$other/corpus"; fi
  done
}

# explore BIN FUZZER LOG SECONDS: until the time is over, whatever it finds meanwhile. Leaves its tenths of a second in
# LOG.time, and a word in $work/FUZZER/broken where it ends in another way than a fuzzer does.
explore() {
  local bin=$1 fuzzer=$2 log=$3 end=$((SECONDS + $4)) child=0 left before status started=${EPOCHREALTIME/[.,]/} corpora
  # Under sanitizers a third is spent on the stacks of allocations and on a long quarantine. Findings run again with both.
  local -x ASAN_OPTIONS=malloc_context_size=2:quarantine_size_mb=1:thread_local_quarantine_size_kb=64:${ASAN_OPTIONS-}
  trap 'kill -INT "$child" 2>/dev/null || true; end=0' INT TERM
  mapfile -t corpora < <(corpora_of "$fuzzer")
  : >"$log"
  while before=$(count_findings "$fuzzer") && left=$((end - SECONDS)) && ((left > 0 && before < 20)); do
    status=0
    "$bin/$fuzzer" "${engine[@]}" "-max_total_time=$left" -dict=fuzz/dictionary -reload=1 -print_final_stats=1 \
      "-artifact_prefix=$work/$fuzzer/artifacts/" "${corpora[@]}" >>"$log" 2>&1 &
    child=$!
    while kill -0 "$child" 2>/dev/null; do
      if ! kill -0 "$$" 2>/dev/null; then kill -INT "$child" 2>/dev/null || true; fi # whoever asked is gone
      sleep 0.2 || true
    done
    wait "$child" || status=$?
    if ((status == 0 || status == 72)); then break; fi # its time is over; interrupted
    # Nothing new: it comes no further than to a finding that is known.
    if (($(count_findings "$fuzzer") == before)); then
      if ((before == 0)); then say "$bin/$fuzzer ended in $status: $(tail -n 1 "$log")" >"$work/$fuzzer/broken"; fi
      break
    fi
  done
  say "$(((${EPOCHREALTIME/[.,]/} - started) / 100000))" >"$log.time"
}

# rate LOG...: executions a second, all processes together.
rate() {
  local log executions tenths sum=0
  for log in "$@"; do
    if [[ ! -e $log ]]; then continue; fi # interrupted before
    executions=$(awk '$1 == "stat::number_of_executed_units:" { sum += $2 } END { print sum + 0 }' "$log")
    tenths=$(cat "$log.time" 2>/dev/null || say 0)
    if ((tenths > 0)); then sum=$((sum + executions * 10 / tenths)); fi
  done
  say "$sum"
}

live() {
  local fuzzer=$1 left=$2 line
  line=$({ cat "$work/$fuzzer"/log-*[0-9] 2>/dev/null || true; } | awk '
    /exec\/s:/ { for (i = 1; i < NF; ++i) { if ($i == "cov:") c = $(i + 1); if ($i == "exec/s:") r = $(i + 1) } }
    END { printf "%d executions/s a process, %d edges", r, c }')
  line="$fuzzer: $line, corpus $(find "$work/$fuzzer/corpus" -type f | wc -l), found $(count_findings "$fuzzer"), $left s left"
  if [[ -t 1 ]]; then printf '\r\033[K%s' "$line"; elif ((left % 10 == 0)); then say "$line"; fi
}
end_live() { if [[ -t 1 ]]; then printf '\r\033[K'; fi; }

# case_of FUZZER INPUT: the cases that the input became, a line each; nothing where it is none.
case_of() {
  TWINCHECK_FUZZ_SHOW=1 timeout 60 "$sanitized/$1" "-artifact_prefix=$work/shown-" "$2" 2>&1 | sed -n 's/^case: //p' || true
  rm -f -- "$work"/shown-*
}

# fails BIN FUZZER INPUT: whether it still breaks a promise there.
fails() { ! "$1/$2" "${engine[@]}" "-artifact_prefix=$work/shown-" "$3" >/dev/null 2>&1; }

# Findings of an earlier campaign that hold by now are no findings any more.
forget_what_holds() {
  local fuzzer=$1 finding
  rm -f -- "$work/$fuzzer/artifacts"/mismatch-*
  for finding in $(findings_of "$fuzzer"); do
    if ((interrupted)) || fails "$fast" "$fuzzer" "$finding" || fails "$sanitized" "$fuzzer" "$finding"; then continue; fi
    say "$fuzzer: $(basename -- "$finding") of an earlier campaign breaks no promise any more"
    rm -f -- "$finding" "$finding.case"
  done
  rm -f -- "$work"/shown-*
}

campaign_of() {
  local fuzzer=$1 job end finding corpora
  mkdir -p "$work/$fuzzer/corpus" "$work/$fuzzer/artifacts"
  rm -f -- "$work/$fuzzer"/{log-*,sanitized*,broken}
  forget_what_holds "$fuzzer"
  end=$((SECONDS + seconds))
  for ((job = 0; job < jobs && interrupted == 0; ++job)); do
    explore "$fast" "$fuzzer" "$work/$fuzzer/log-$job" "$seconds" 9>&- &
    children+=($!)
  done
  while ((end > SECONDS && interrupted == 0)) && kill -0 "${children[@]}" 2>/dev/null; do
    live "$fuzzer" $((end - SECONDS))
    sleep 1 9>&- || true
  done
  join

  # Under sanitizers: what was found, then what they find themselves in a little while.
  if ((interrupted == 0)); then
    if [[ -t 1 ]]; then printf '\r\033[K%s: under sanitizers' "$fuzzer"; fi
    explore "$sanitized" "$fuzzer" "$work/$fuzzer/sanitized" $((seconds / 4 + 1)) 9>&- &
    children+=($!)
    join
  fi
  # A corpus of its own for every fuzzer, of what all of them found.
  if ((interrupted == 0)); then
    mapfile -t corpora < <(corpora_of "$fuzzer")
    rm -rf -- "$work/$fuzzer/merged"
    mkdir "$work/$fuzzer/merged"
    if "$fast/$fuzzer" "${engine[@]}" -merge=1 "-artifact_prefix=$work/shown-" "$work/$fuzzer/merged" "${corpora[@]}" >"$work/$fuzzer/merge" 2>&1; then
      rm -rf -- "$work/$fuzzer/corpus"
      mv -- "$work/$fuzzer/merged" "$work/$fuzzer/corpus"
    fi
  fi
  end_live
  for finding in $(findings_of "$fuzzer"); do
    if [[ -e $finding.case ]]; then continue; fi
    { say "# $fuzzer: $(basename -- "$finding")" && case_of "$fuzzer" "$finding"; } >"$finding.case"
  done
  summary+=("$(printf '%-14s %9d executions/s fast, %7d sanitized, %5d edges, corpus %5d, found %d' "$fuzzer" \
    "$(rate "$work/$fuzzer"/log-*[0-9])" "$(rate "$work/$fuzzer"/sanitized)" "$(last "$work/$fuzzer/log-0" cov)" \
    "$(find "$work/$fuzzer/corpus" -type f | wc -l)" "$(count_findings "$fuzzer")")")
}
# Waits for the children, however often a signal ends the waiting.
join() {
  local child
  for child in "${children[@]}"; do
    while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done
  done
  children=()
}

campaign() {
  local fuzzer finding found=0 broken=0
  build_preset fuzz-fast "${fuzzers[@]}"
  build_preset fuzz "${fuzzers[@]}"
  say "fuzz: ${fuzzers[*]}, $seconds s each, $jobs at a time; work in $work"
  summary=()
  for fuzzer in "${fuzzers[@]}"; do if ((interrupted == 0)); then campaign_of "$fuzzer"; fi; done
  if ((${#summary[@]} > 0)); then printf '%s\n' "${summary[@]}"; fi
  for fuzzer in "${fuzzers[@]}"; do
    for finding in $(findings_of "$fuzzer"); do
      found=$((found + 1))
      say "found: $finding; again: $sanitized/$fuzzer $finding"
      if grep -q '^append ' "$finding.case" 2>/dev/null; then say "  twincheck replay $finding.case"; fi
    done
    if [[ -e $work/$fuzzer/broken ]]; then
      broken=1
      say "broken: $(cat "$work/$fuzzer/broken")"
    fi
  done
  if ((found > 0)); then
    say "fuzz: failed: $found inputs break a promise; keep them: ci/fuzz --regress"
    exit 1
  fi
  if ((broken)); then
    say "fuzz: failed: a fuzzer did not run"
    exit 1
  fi
  if ((interrupted)); then
    say "fuzz: interrupted: nothing found so far; ci/fuzz goes on from here"
    exit 130
  fi
  say "fuzz: passed: nothing found in $((seconds * ${#fuzzers[@]})) s"
}

# Findings become corpus/regressions/FUZZER/NAME, the bytes, and NAME.case, their cases and the reason.
regress() {
  local fuzzer finding folder kind into bin made=()
  build_preset fuzz-fast "${fuzzers[@]}"
  build_preset fuzz "${fuzzers[@]}"
  for fuzzer in "${fuzzers[@]}"; do
    folder=corpus/regressions/$fuzzer
    for finding in $(findings_of "$fuzzer"); do
      if ((interrupted)); then exit 130; fi
      bin=$sanitized
      if ! fails "$bin" "$fuzzer" "$finding"; then bin=$fast; fi
      if ! fails "$bin" "$fuzzer" "$finding"; then
        say "$finding: breaks no promise any more"
        rm -f -- "$finding" "$finding.case"
        continue
      fi
      mkdir -p "$folder"
      kind=$(basename -- "$finding")
      rm -f -- "$work/minimized"
      # Every try of a timeout takes its time.
      if [[ $kind != timeout-* ]]; then
        "$bin/$fuzzer" "${engine[@]}" -minimize_crash=1 -max_total_time=20 "-artifact_prefix=$work/shown-" \
          "-exact_artifact_path=$work/minimized" "$finding" >"$work/minimize" 2>&1 || true
      fi
      if [[ ! -e $work/minimized ]] || ! fails "$bin" "$fuzzer" "$work/minimized"; then cp -- "$finding" "$work/minimized"; fi
      into=$folder/${kind%%-*}-$(sha1sum "$work/minimized" | cut -c1-12)
      mv -- "$work/minimized" "$into"
      { say "# Catches: ?" && case_of "$fuzzer" "$into"; } >"$into.case"
      say "$into: $(stat -c %s "$into") of $(stat -c %s "$finding") bytes"
      tail -n +2 "$into.case"
      rm -f -- "$finding" "$finding.case"
      made+=("$into")
    done
    if [[ -d $work/$fuzzer/artifacts ]] && (($(count_findings "$fuzzer") == 0)); then
      rm -f -- "$work/$fuzzer/artifacts"/mismatch-*
    fi
  done
  rm -f -- "$work"/shown-*
  if ((${#made[@]} > 0)); then say "The tests replay them. Say in each .case, behind '# Catches:', what was wrong and why."; fi
  say "fuzz: $(printf '%s\n' "${made[@]}" | sort -u | grep -c .) regressions of ${#made[@]} findings"
}
