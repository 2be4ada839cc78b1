#!/usr/bin/env bash
# Runs the commands of README.md, CONTRIBUTING.md and docs/: each ends in 0, unless ci/docs_commands.txt says otherwise.
#
#   ci/docs_test.sh BUILD      a build folder with the program and the candidates
#
# A command is a line of a code block, indented by four or fenced, whose first word (after assignments) is a program here, or one
# of ours; a further indent of two belongs to a list. What stands behind three blanks or ` # ` is a remark. They run in order,
# in a folder with the project's own beside files that the pages speak of. The gate and verify get --cases 50 where a command has no
# limit of its own.
set -euo pipefail
build=$(cd -- "$1" && pwd)
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
list=$root/ci/docs_commands.txt
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"
failures=0 ran=0
fail() {
  printf 'FAIL %s\n' "$1"
  failures=$((failures + 1))
}

for entry in ci contract corpus docs examples harness; do ln -s "$root/$entry" "$entry"; done
export PATH=$build/bin:$PATH
cc -std=c11 -O2 -shared -fPIC -I. examples/c/append.c -o libmine.so -lm
cp examples/python/numpy_append.py my_kernel.py
cp corpus/golden/append.jsonl dump.jsonl
# What docs/known-failures.md shows as such a file.
sed -n '/^    # The gate/,/^    expires/s/^    //p' docs/known-failures.md >known-failures.txt

# Of a page: LINE<TAB>TEXT for each line of a code block.
lines_of_code() {
  awk '/^ *```/ { fenced = !fenced; next }
    fenced { print FNR "\t" $0; next }
    /^    / { sub(/^ +/, ""); print FNR "\t" $0 }' "$1"
}
# command_in TEXT: the command in a line of code; nothing where it is none.
command_in() {
  local text=$1 first
  text=${text%%   *}
  text=${text%% # *}
  text=$(sed 's/  */ /g; s/ *$//' <<<"$text")
  first=$(sed -E 's/^([A-Z_]+=('"'[^']*'"'|[^ ]*) )*//; s/ .*//' <<<"$text")
  case $first in
    '') return ;;
    twincheck | ./ci/* | ci/* | */ci/* | build/*) [[ $first != */ ]] || return 0 ;;
    *) type -P -- "$first" >/dev/null || [[ $first == docker || $first == hipcc || $first == nvcc || $first == sbatch || $first == source ]] || return 0 ;;
  esac
  printf '%s\n' "$text"
}

declare -A used=()
# rule_of COMMAND: its line in the list; nothing where it has none.
rule_of() {
  local rule pattern
  while IFS= read -r rule; do
    pattern=${rule%% # *}
    pattern=${pattern#skip }
    if [[ $pattern == status\ * ]]; then pattern=${pattern#status ? }; fi
    # shellcheck disable=SC2053  # a pattern
    if [[ $1 == $pattern ]]; then
      printf '%s\n' "$rule"
      return
    fi
  done < <(grep -E '^(skip|status) ' "$list")
}
while IFS= read -r rule; do
  if [[ $rule != *" # "?* ]]; then fail "ci/docs_commands.txt: no reason in: $rule"; fi
done < <(grep -E '^(skip|status) ' "$list")

for page in README.md CONTRIBUTING.md SECURITY.md docs/*.md; do
  if [[ ! -e $page ]]; then page=$root/$page; fi
  while IFS=$'\t' read -r line text; do
    command=$(command_in "$text")
    if [[ -z $command ]]; then continue; fi
    where=${page#"$root/"}:$line
    rule=$(rule_of "$command")
    if [[ -n $rule ]]; then used[$rule]=1; fi
    if [[ $rule == skip* ]]; then continue; fi
    expected=0
    if [[ $rule == status* ]]; then
      expected=${rule#status }
      expected=${expected%% *}
    fi
    run=$command
    if [[ $run =~ ^twincheck\ (gate|verify)\  && ! $run =~ --(cases|seconds|max-failures) ]]; then run+=" --cases 50"; fi
    if [[ $run =~ ^twincheck\ gate\  ]]; then run+=" --law equals_reference --tier smoke"; fi
    ran=$((ran + 1))
    status=0
    timeout 120 bash -c "$run" >log 2>&1 </dev/null || status=$?
    if [[ $status != "$expected" ]]; then
      fail "$where: '$command' ended in $status, expected $expected. Mend it, or list it in ci/docs_commands.txt with the reason. It said:"
      tail -n 12 log
    fi
  done < <(lines_of_code "$page")
done
while IFS= read -r rule; do
  if [[ -z ${used[$rule]-} ]]; then fail "ci/docs_commands.txt: no command of the documentation matches: $rule"; fi
done < <(grep -E '^(skip|status) ' "$list")

# What the pages name is there: files that they link to, and options and verbs in the program's own help.
while IFS=: read -r page link; do
  target=${link%%#*}
  if [[ -n $target && ! -e $(dirname -- "$root/$page")/$target ]]; then fail "$page: links to $target, which is not there"; fi
done < <(cd -- "$root" && grep -o -E '\]\([^)]+\)' README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md docs/*.md |
  sed -E 's/\]\(([^)]*)\)/\1/' | grep -v ':[a-z]*://')
for verb in $(twincheck --help | awk '/^[A-Za-z]/ { on = tolower($1) == "subcommands:"; next } on && /^  [a-z]/ { print $1 }'); do
  grep -q "^    twincheck $verb" "$root/docs/command-line.md" || fail "docs/command-line.md lacks the verb $verb"
  help=$(twincheck "$verb" --help)
  examples=$(sed -n '/^Examples:/,$s/^  //p' <<<"$help")
  if [[ $examples != "twincheck $verb"* ]]; then fail "twincheck $verb --help has no example"; fi
  while read -r option; do
    if [[ $option != --help ]] && ! grep -q -e "$option" "$root/docs/command-line.md"; then
      fail "docs/command-line.md lacks $option of twincheck $verb"
    fi
  done < <(sed -n -E 's/^  (-[a-z],)?(--[a-z-]+).*/\2/p' <<<"$help")
done
if ((ran == 0)); then fail "no command was run"; fi
printf '%d commands ran, %d failed expectations\n' "$ran" "$failures"
((failures == 0))
