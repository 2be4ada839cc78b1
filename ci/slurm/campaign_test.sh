#!/usr/bin/env bash
# campaign.sbatch and merge.sbatch on a real Slurm of one machine, started for this test on loopback: eight tasks, two of which are
# killed and one preempted on the way. No input of a corpus and no failure is lost, and the merged report says what one process
# says of the same cases.
#
#   ci/slurm/campaign_test.sh TWINCHECK FUZZ_BIN CANDIDATE    a program, a folder with fuzz_append (libFuzzer), a wrong candidate
#
# Ends in 0, in 1 where something is not so, or in 77 where a tool is not here.
set -euo pipefail
exec </dev/null
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$here/../.." && pwd)
program=$1 fuzz_bin=$2 candidate=$3
for tool in slurmctld:slurm-wlm slurmd:slurm-wlm sbatch:slurm-wlm munged:munge; do
  if ! PATH=$PATH:/usr/sbin command -v "${tool%:*}" >/dev/null; then
    printf 'not here: package %s\n' "${tool#*:}"
    exit 77
  fi
done
if [[ ! -x $fuzz_bin/fuzz_append ]]; then
  printf 'not here: package clang\n'
  exit 77
fi
PATH=$PATH:/usr/sbin
say() { printf '%s\n' "$*"; }

scratch=$(mktemp -d)
slurm=$scratch/slurm
campaign=$scratch/campaign
mkdir -p "$slurm"/{state,spool,munge,log}
chmod 700 "$slurm/munge"
daemons=()
# Whatever a job has left as well: its processes have the folder in their environment.
finish() {
  local status=$? pid
  trap - EXIT
  for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait "${daemons[@]}" 2>/dev/null || true
  while read -r pid; do
    if [[ $pid != "$$" && $pid != "$BASHPID" ]]; then kill -KILL "$pid" 2>/dev/null || true; fi
  done < <(grep -lsz "SLURM_CONF=$slurm/slurm.conf" /proc/[0-9]*/environ | cut -d/ -f3)
  if ((status != 0)); then tail -n 15 "$scratch"/*.out "$slurm"/log/* >&2 2>/dev/null || true; fi
  rm -rf -- "$scratch"
  exit "$status"
}
trap finish EXIT
fail() {
  say "FAILED: $1" >&2
  exit 1
}
# until_so SECONDS COMMAND...
until_so() {
  local end=$((SECONDS + $1))
  while ! "${@:2}"; do
    if ((SECONDS >= end)); then fail "not so after $1 s: ${*:2}"; fi
    sleep 0.2
  done
}
free_port() {
  local port
  for ((port = 20000 + RANDOM % 20000; ; ++port)); do
    if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      say "$port"
      return
    fi
  done
}

# ---- a Slurm of our own: no service, no cgroups, no accounting, as whoever runs this
dd if=/dev/urandom of="$slurm/munge/key" bs=1024 count=1 2>/dev/null
chmod 400 "$slurm/munge/key"
# A folder that others may write to is no place for a socket, says munged; it is ours all the same.
munged --foreground --force --key-file="$slurm/munge/key" --socket="$slurm/munge/socket" --pid-file="$slurm/munge/pid" \
  --log-file="$slurm/log/munged" --seed-file="$slurm/munge/seed" >"$slurm/log/munged.out" 2>&1 &
daemons+=($!)
cat >"$slurm/slurm.conf" <<END
ClusterName=campaign
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
CredType=cred/munge
# A task that is put back into the queue starts again when its credential has expired.
AuthInfo=socket=$slurm/munge/socket,cred_expire=5
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.pid
SlurmctldLogFile=$slurm/log/slurmctld
SlurmdLogFile=$slurm/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=100000
MpiDefault=none
KillWait=10
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=localhost NodeHostname=$(uname -n | cut -d. -f1) NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$slurm/slurm.conf
until_so 10 test -S "$slurm/munge/socket"
slurmctld -D >"$slurm/log/slurmctld.out" 2>&1 &
daemons+=($!)
slurmd -D -N localhost >"$slurm/log/slurmd.out" 2>&1 &
daemons+=($!)
is_idle() { [[ $(sinfo --noheader --format=%T 2>/dev/null) == idle ]]; }
until_so 30 is_idle

# ---- the campaign
export TWINCHECK_ROOT=$root TWINCHECK_PROGRAM=$program TWINCHECK_FUZZ_BIN=$fuzz_bin TWINCHECK_FUZZ_CANDIDATE=$candidate
verify="verify --no-corpus --cases 240000 --law equals_reference --candidate $candidate"
cd -- "$scratch"
job=$(sbatch --parsable --array=0-7 --output="$scratch/task-%a.out" "$here/campaign.sbatch" --folder "$campaign" --seed 5eed \
  --shards 16 --properties "$verify" --fuzz 10 --fuzzers fuzz_append)
merge=$(sbatch --parsable --dependency="afterany:$job" --output="$scratch/merge.out" "$here/merge.sbatch" --folder "$campaign" \
  --minimise 2)

# Tasks 6 and 2 die with all their processes, in the properties and while it fuzzes; task 5 is put back into the queue in the
# properties.
is_in_second_shard() { grep -qs "^shard $(($1 + 8)) of 16" "$scratch/task-$1.out" && [[ ! -e $campaign/reports/$(($1 + 8))/results.json ]]; }
is_fuzzing() { grep -qs "^fuzz_append: " "$scratch/task-$1.out" && compgen -G "$campaign/tasks/$1/corpus/fuzz_append/*" >/dev/null; }
processes_of() {
  local pid
  while read -r pid; do
    if grep -qsz "^SLURM_ARRAY_JOB_ID=$job\$" "/proc/$pid/environ"; then say "$pid"; fi
  done < <(grep -lsz "^SLURM_ARRAY_TASK_ID=$1\$" /proc/[0-9]*/environ | cut -d/ -f3)
}
job_of() { squeue --noheader --array --format='%A %K' --jobs="$job" | awk -v task="$1" '$2 == task { print $1 }'; }
kill_task() {
  local processes
  mapfile -t processes < <(processes_of "$1")
  if ((${#processes[@]} == 0)) || grep -q "^task $1: done" "$scratch/task-$1.out"; then fail "task $1 was over before it was killed"; fi
  kill -KILL "${processes[@]}"
  say "killed task $1: ${#processes[@]} processes"
}
until_so 120 is_in_second_shard 6
kill_task 6
until_so 120 is_in_second_shard 5
scontrol requeue "$(job_of 5)"
until_so 120 is_fuzzing 2
kill_task 2
seen=$scratch/seen
mkdir "$seen"
cp -- "$campaign"/tasks/2/corpus/fuzz_append/* "$seen/"
say "requeued task 5; task 2 leaves $(find "$seen" -type f | wc -l) inputs"

is_over() { [[ -z $(squeue --noheader --jobs="$job,$merge" 2>/dev/null) ]]; }
until_so 240 is_over
state() { scontrol show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
say "$(tail -n 1 "$scratch/merge.out")"
if [[ $(state "$merge" ExitCode) != 1:0 ]]; then fail "merge.sbatch ended in $(state "$merge" ExitCode), expected 1:0"; fi
if ! grep -q "^task 5: ended by TERM" "$scratch/task-5.out" || ! grep -q "start 1, " "$scratch/task-5.out" ||
  ! grep -q "^task 5: done" "$scratch/task-5.out"; then
  fail "task 5 was not ended, started again and done"
fi
if grep -q "^task [26]: done" "$scratch"/task-[26].out; then fail "a task was not killed"; fi
grep -q "^merge: shard 14 was left undone" "$scratch/merge.out" || fail "task 6 left nothing undone"
for task in 0 1 3 4 7; do
  grep -q "^task $task: done" "$scratch/task-$task.out" || fail "task $task is not done"
done
if (($(cat "$scratch"/task-*.out | sed -n 's/.*-seed=\([0-9]*\) .*/\1/p' | sort | uniq -d | wc -l) > 0)); then fail "a seed was used twice"; fi

# ---- no input is lost: what was seen, and what lies in any task's folder, is in the corpus, under the name of its contents
(cd -- "$campaign/corpus/fuzz_append" && find . -type f ! -name '.*' -printf '%f  %f\n' | sha1sum --check --quiet -) ||
  fail "an input has another name than its contents'"
inputs=0
for file in "$seen"/* "$campaign"/tasks/*/corpus/fuzz_append/*; do
  inputs=$((inputs + 1))
  if [[ ! -e $campaign/corpus/fuzz_append/$(sha1sum -- "$file" | cut -d' ' -f1) ]]; then fail "lost: $file"; fi
done
mkdir "$scratch/more"
cp -- "$campaign"/merged/corpus/fuzz_append/* "$scratch/more/"
"$fuzz_bin/fuzz_append" -merge=1 -use_counters=0 "$scratch/more" "$campaign/corpus/fuzz_append" >"$scratch/merge-again.out" 2>&1
grep -q "MERGE-OUTER: 0 new files with 0 new features added" "$scratch/merge-again.out" ||
  fail "the merged corpus lacks edges of the campaign's: $(grep MERGE-OUTER "$scratch/merge-again.out")"

# ---- no failure is lost
findings=0
for file in "$campaign"/tasks/*/found/fuzz_append/*; do
  findings=$((findings + 1))
  if [[ ! -e $campaign/failures/fuzz_append/${file##*/} ]]; then fail "lost: $file"; fi
done
if ((findings == 0)); then fail "the fuzzers found nothing"; fi
compgen -G "$campaign/failures/cases/*.case" >/dev/null || fail "the failing cases of the properties are not there"
compgen -G "$campaign/merged/failures/fuzz_append/crash-*.case" >/dev/null || fail "no finding was minimised"

# ---- the merged report is one process's: with the same findings of the fuzzers beside it
read -ra words <<<"$verify"
"$program" "${words[@]}" --seed 5eed --jobs 2 --save '' --report "$scratch/whole" --quiet >"$scratch/whole.out" 2>&1 && fail "no failure in one process"
"$program" merge "$scratch/whole" "$campaign/merged/replayed/fuzz_append" --report "$scratch/expected" --quiet >/dev/null || true
# What of a report must not differ; of failures their kinds and how often they were met, since any of their cases may show them.
essence() {
  awk '/^ "(arguments|parts)": \[/ { skip = 1 } skip { if (/^ \],?$/) skip = 0; next }
    /^ "failures": \[/ { failures = 1 } failures { if (/^ \],?$/) failures = 0; else if (/^   "(candidate|law|promise|verdict|count)":/) kinds = kinds $0; next }
    /^ *"(seconds|isolation_seconds|started)":/ { next } { print } END { print kinds }' "$1/results.json"
}
diff <(essence "$scratch/expected") <(essence "$campaign/merged/report") >&2 || fail "the merged report is not what one process reports"
grep -q '"law": "equals_reference"' <(essence "$campaign/merged/report") || fail "the merged report has no failure"
say "passed: $inputs inputs and $findings findings, none lost; 16 shards say what one process says"
