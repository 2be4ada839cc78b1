# Completion for bash: verbs, options and values as the program's own help has them, so that nothing here grows old.
#
#   source harness/cli/completion/twincheck.bash
#
# shellcheck shell=bash

# _twincheck_section PROGRAM SECTION: the first words of the lines of a section of `twincheck list`.
_twincheck_section() {
  "$1" list 2>/dev/null | awk -v section="$2" '/^[a-z]/ { on = $1 == section; next } on { print $1 }'
}

# _twincheck_values PROGRAM VERB OPTION: what the option can be, a word a line; "?" where it takes anything, nothing where
# it takes no value.
_twincheck_values() {
  "$1" "$2" --help 2>/dev/null | awk -v option="$3" '
    index($0, "  " option " ") == 1 && substr($0, length(option) + 4, 1) != " " {
      if (match($0, /[{][^}]*[}]/)) {
        n = split(substr($0, RSTART + 1, RLENGTH - 2), values, ",")
        for (i = 1; i <= n; ++i) print values[i]
      } else print "?"
    }'
}

_twincheck() {
  local program=$1 current=$2 previous=$3 verb='' word values=''
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ $word != -* ]]; then
      verb=$word
      break
    fi
  done
  if [[ -z $verb ]]; then
    values=$("$program" --help 2>/dev/null |
      awk '/^[A-Za-z]/ { on = tolower($1) == "subcommands:"; next } on && /^  [a-z]/ { print $1 }')
    mapfile -t COMPREPLY < <(compgen -W "$values --help --version" -- "$current")
    return
  fi
  if [[ $previous == --* ]]; then
    case $previous in
      --law) values=$(_twincheck_section "$program" laws) ;;
      *) values=$(_twincheck_values "$program" "$verb" "$previous") ;;
    esac
  fi
  if [[ $values == '?' ]]; then
    case $previous in
      --candidate | --report | --save | --corpus | --mutants)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    esac
    return
  fi
  if [[ -z $values && $current == -* ]]; then
    values=$("$program" "$verb" --help 2>/dev/null | awk '/^  -/ && match($0, /--[a-z][a-z-]*/) { print substr($0, RSTART, RLENGTH) }')
  elif [[ -z $values && $verb == sweep ]]; then
    values=$(_twincheck_section "$program" sweeps)
  elif [[ -z $values ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
}

complete -F _twincheck twincheck
