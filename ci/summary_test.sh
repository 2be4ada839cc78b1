#!/usr/bin/env bash
# ci/summary.awk: what counts as passed, failed and skipped, on a result file of each kind.
set -euo pipefail

summary=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/summary.awk
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
failures=0

# testcase NAME STATUS [INNER]: one test as ctest writes it.
testcase() { printf '\t<testcase name="%s" classname="%s" time="0.1" status="%s">\n%s\n\t</testcase>\n' "$1" "$1" "$2" "${3-}"; }
skipped() { printf '\t\t<skipped message="SKIP_RETURN_CODE=77"/>\n\t\t<system-out>%s</system-out>\n' "$1"; }
suite() { printf '<testsuite name="(empty)"\n\t>\n%s\n</testsuite>\n' "$1"; }

# expect WHAT CTEST_STATUS EXIT_STATUS LAST_LINE TEXT: reads a result file from stdin; TEXT is in the output.
expect() {
  local status=0 output
  cat >"$work/ctest.xml"
  output=$(awk -v "ctest_status=$2" -f "$summary" "$work/ctest.xml") || status=$?
  if [[ $status != "$3" || ${output##*$'\n'} != "$4" || $output != *"$5"* ]]; then
    printf 'FAIL %s: status %s, expected %s; expected last line "%s" and "%s"; said:\n%s\n' "$1" "$status" "$3" "$4" "$5" "$output"
    failures=$((failures + 1))
  fi
}

run=$(testcase Law.Holds run)
expect "one passed" 0 0 "1 passed, 0 failed" "" < <(suite "$run")
expect "one failed" 8 1 "1 passed, 1 failed" "Law.<Breaks>" < <(suite "$run
$(testcase 'Law.&lt;Breaks&gt;' fail)")
for kind in "device hipErrorNoDevice" "compiler hipcc" "package clang-format-14"; do
  expect "skipped for an absent $kind" 0 0 "1 passed, 0 failed" "  Law.Skips: not here: $kind" < <(suite "$run
$(testcase Law.Skips notrun "$(skipped "not here: $kind")")")
done
expect "the reason on a line of its own" 0 0 "1 passed, 0 failed" "Law.Skips: not here: device GPU" < <(suite "$run
$(testcase Law.Skips notrun "$(skipped "$(printf 'Running\nnot here: device GPU\n[ ok ]')")")")
for reason in "too slow" "not here: time enough" "not here: device " "" "it is not here: device GPU"; do
  expect "skipped for '$reason'" 0 1 "1 passed, 1 failed" "Law.Skips  (skipped without saying" < <(suite "$run
$(testcase Law.Skips notrun "$(skipped "$reason")")")
done
expect "failed before it skipped" 0 1 "1 passed, 1 failed" "Law.Skips" < <(suite "$run
$(testcase Law.Skips notrun "$(skipped "$(printf '[  FAILED  ]\nnot here: device GPU')")")")
expect "a disabled test" 0 1 "1 passed, 1 failed" "Law.Off  (disabled)" < <(suite "$run
$(testcase Law.Off disabled)")
expect "a test without its program" 8 1 "1 passed, 1 failed" "Law.Gone" < <(suite "$run
$(testcase Law.Gone notrun '		<skipped message="Unable to find executable"/>')")
expect "everything skipped" 0 1 "0 passed, 0 failed" "no test ran" < <(suite "$(testcase Law.Skips notrun "$(skipped "not here: device GPU")")")
expect "no test" 0 1 "0 passed, 0 failed" "no test ran" < <(suite "")
expect "ctest itself failed" 8 1 "1 passed, 1 failed" "exit status 8" < <(suite "$run")
expect "cut short" 137 1 "1 passed, 1 failed" "no whole result file; exit status 137" < <(printf '<testsuite>\n%s\n' "$run")
expect "no result file" 8 1 "0 passed, 1 failed" "no whole result file" < <(printf '')

expect "a test that never closes" 0 1 "1 passed, 1 failed" "Law.Open" \
  < <(suite $'\t<testcase name="Law.Open" classname="" time="0" status="run">'"
$run")

printf '%d expectations failed\n' "$failures"
((failures == 0))
