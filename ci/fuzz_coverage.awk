# Compares what llvm-cov's lcov export counted with a list of what cannot be reached.
#
#   awk -f fuzz_coverage.awk UNREACHED LCOV      run in the root of the sources
#
# UNREACHED has entries of two lines or more, all but the first indented: `line FILE: SOURCE` or `branch FILE: SOURCE`, SOURCE
# being the text of one line, and the reason. One without a reason counts for nothing. Ends in 1 where something else is unreached, or something listed is reached or is not there.
function trimmed(s) { gsub(/^[ \t]+|[ \t]+$/, "", s); return s }

FNR == NR {
  if (/^(line|branch) optimized\/[a-z_.]+: /) { entry = $0; is_new = 1 }
  else if (/^  [^ ]/ && entry != "") { listed[entry] += is_new; is_new = 0 }
  else if (!/^#/ && !/^$/) { print "fuzz/unreached.txt:" FNR ": expected `line FILE: SOURCE`, `branch FILE: SOURCE` or a reason"; bad = 1 }
  next
}
/^SF:/ {
  file = ""
  if (match($0, /optimized\/[a-z_]+\.(cpp|h)$/)) {
    file = substr($0, RSTART)
    delete source
    n = 0
    while ((getline text < file) > 0) source[++n] = trimmed(text)
    close(file)
  }
  next
}
file == "" { next }
/^DA:/ {
  split(substr($0, 4), a, ",")
  key = "line " file ": " source[a[1]]
  ++lines
  if (a[2] == 0) { ++unreached_lines; ++unreached[key]; where[key] = file ":" a[1] }
}
/^BRDA:/ && file ~ /\/(append|plan|validate)\.cpp$/ {
  split(substr($0, 6), a, ",")
  key = "branch " file ": " source[a[1]]
  ++branches
  if (a[4] == "-" || a[4] == 0) { ++unreached_branches; ++unreached[key]; where[key] = file ":" a[1] }
}
END {
  for (key in unreached) if (unreached[key] > listed[key] + 0) { print where[key] ": not reached: " key; bad = 1 }
  for (key in listed) {
    if (listed[key] > unreached[key] + 0) { print "fuzz/unreached.txt: reached, or not there: " key; bad = 1 }
  }
  if (lines + 0 == 0 || branches + 0 == 0) { print "nothing was counted"; bad = 1 }
  printf "%d of %d lines of optimized/ and %d of %d branches of its wrapper reached; %s\n", lines - unreached_lines, lines,
    branches - unreached_branches, branches, bad ? "NOT as fuzz/unreached.txt has it" : "all others are listed"
  exit bad
}
