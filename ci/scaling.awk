# The plot of docs/scaling.md as SVG: cases a second by machines, measured and by the model.
#
# one, all: cases a second of one process and of `cores`, measured; start: seconds of a task; merge: seconds of 64 reports.

function log10(v) { return log(v) / log(10) }
function x(machines) { return 90 + 640 * log10(machines) / 4 }
function y(rate) { return 400 - 340 * (log10(rate) - low) / (high - low) }
# Cases a second of a campaign of so many cases on so many machines, merging included.
function model(machines, cases) { return cases / (start + cases / (machines * all) + machines * merge / 64) }
function curve(cases, class, words,    i, n, d) {
  d = ""
  for (i = 0; i <= 80; ++i) {
    n = exp(log(10) * i / 20)
    d = d sprintf("%s%.1f,%.1f", i ? "L" : "M", x(n), y(model(n, cases)))
  }
  printf "<path class=\"curve %s\" d=\"%s\"/>\n", class, d
  printf "<text class=\"%s\" x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%s</text>\n", class, x(10000) - 4, y(model(10000, cases)) + 20, words
}

BEGIN {
  low = int(log10(one)); high = 9
  print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 460\" role=\"img\" aria-labelledby=\"title words\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"13\">"
  print "<title id=\"title\">Cases a second by machines</title>"
  printf "<desc id=\"words\">Measured on one machine: %d cases a second with one process, %d with %d. By the model: campaigns of 10 to the 8, 10 and 12 cases on 1 to 10,000 such machines; each curve leaves the straight line where merging the reports takes as long as the cases.</desc>\n", one, all, cores
  print "<style>"
  print "  :root { color-scheme: light dark; } text { fill: #1b1f27; } .grid { stroke: #d5d9e0; } .ideal { stroke: #8b94a3; stroke-dasharray: 5 4; fill: none; }"
  print "  .curve { fill: none; stroke-width: 2; } .a { stroke: #b3201c; } .b { stroke: #13703a; } .c { stroke: #1a56c4; } .point { fill: #1b1f27; }"
  print "  text.a { fill: #b3201c; stroke: none; } text.b { fill: #13703a; stroke: none; } text.c { fill: #1a56c4; stroke: none; }"
  print "  @media (prefers-color-scheme: dark) { text, .point { fill: #e6e9ef; } .grid { stroke: #39404c; } .a { stroke: #ff8f88; } .b { stroke: #6fd396; } .c { stroke: #8ab4ff; }"
  print "    text.a { fill: #ff8f88; } text.b { fill: #6fd396; } text.c { fill: #8ab4ff; } }"
  print "</style>"
  for (i = 0; i <= 4; ++i) {
    printf "<line class=\"grid\" x1=\"%.0f\" y1=\"60\" x2=\"%.0f\" y2=\"400\"/>\n", x(10 ^ i), x(10 ^ i)
    printf "<text x=\"%.0f\" y=\"420\" text-anchor=\"middle\">%s</text>\n", x(10 ^ i), i < 4 ? 10 ^ i : "10,000"
  }
  for (i = low; i <= high; ++i) {
    printf "<line class=\"grid\" x1=\"90\" y1=\"%.0f\" x2=\"730\" y2=\"%.0f\"/>\n", y(10 ^ i), y(10 ^ i)
    printf "<text x=\"80\" y=\"%.0f\" text-anchor=\"end\">10<tspan dy=\"-5\" font-size=\"10\">%d</tspan></text>\n", y(10 ^ i) + 4, i
  }
  print "<text x=\"410\" y=\"446\" text-anchor=\"middle\">machines</text>"
  print "<text x=\"90\" y=\"40\">cases a second, merging included</text>"
  printf "<path class=\"ideal\" d=\"M%.1f,%.1fL%.1f,%.1f\"/>\n", x(1), y(all), x(10000), y(10000 * all)
  curve(1e8, "a", "100 million cases")
  curve(1e10, "b", "10 billion cases")
  curve(1e12, "c", "a trillion cases")
  printf "<circle class=\"point\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", x(1), y(one)
  printf "<circle class=\"point\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", x(1), y(all)
  printf "<text x=\"%.0f\" y=\"%.0f\">measured: %d processes, and 1</text>\n", x(1) + 12, y(one) + 14, cores
  print "</svg>"
}
