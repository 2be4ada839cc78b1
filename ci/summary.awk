# Reads the JUnit file that ctest writes; prints what was skipped and why, what failed, and last `N passed, N failed`.
# Exit status 0 only where none failed and some passed. ctest_status: ctest's own exit status.
#
# A test that did not run counts as failed, unless it was skipped with a line `not here: device|compiler|package NAME`.

function unescape(text) {
  gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text); gsub(/&apos;/, "'", text); gsub(/&amp;/, "\\&", text)
  return text
}

function fail(name, why) { failures[failed++] = name (why == "" ? "" : "  (" why ")") }

/^\t<testcase / {
  if (open) fail(name, "no end in the result file")
  name = $0; sub(/.*<testcase name="/, "", name); sub(/".*/, "", name); name = unescape(name)
  state = $0; sub(/.* status="/, "", state); sub(/".*/, "", state)
  open = 1; skipped = 0; broken = 0; reason = ""
  next
}
open && /^\t\t<skipped / { skipped = 1 }
open && /\[  FAILED  \]/ { broken = 1 }
open && reason == "" {
  line = $0; sub(/^\t\t<system-out>/, "", line); sub(/<\/system-out>$/, "", line)
  if (line ~ /^not here: (device|compiler|package) [^ ]/) reason = unescape(line)
}
/^\t<\/testcase>/ {
  open = 0
  if (state == "run") passed++
  else if (state == "fail") fail(name, "")
  else if (skipped && reason != "" && !broken) skips[skip_count++] = name ": " reason
  else fail(name, skipped ? "skipped without saying what is not here" : state)
}
/^<\/testsuite>/ { complete = 1 }

END {
  if (open) fail(name, "no end in the result file")
  if (!complete) fail("ctest", "wrote no whole result file; exit status " ctest_status)
  else if (ctest_status != 0 && failed == 0) fail("ctest", "exit status " ctest_status)
  if (skip_count) print "skipped:"
  for (i = 0; i < skip_count; i++) print "  " skips[i]
  if (failed) print "failed:"
  for (i = 0; i < failed; i++) print "  " failures[i]
  if (!passed && !failed) print "no test ran"
  printf "%d passed, %d failed\n", passed, failed
  exit failed > 0 || passed == 0
}
