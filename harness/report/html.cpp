#include "harness/report/page.h"
#include "harness/report/run_report.h"

namespace twincheck {

std::string index_html(const RunReport& run) {
  constexpr std::string_view kMark = "@TWINCHECK_RESULTS@";
  const std::string_view page = kPage;
  const std::size_t mark = page.find(kMark);
  std::string html(page.substr(0, mark));
  // A '<' in JSON is inside a string; escaped, no text can end the element that holds the data.
  for (const char c : results_json(run)) {
    if (c == '<') {
      html += "\\u003c";
    } else {
      html += c;
    }
  }
  html += page.substr(mark + kMark.size());
  return html;
}

}  // namespace twincheck
