#include "harness/report/message.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace twincheck {
namespace {

std::string painted(bool color, std::string_view code, std::string_view words) {
  return color ? fmt::format("\x1b[{}m{}\x1b[0m", code, words) : std::string(words);
}

std::string_view headline(Verdict v) {
  switch (v) {
    case Verdict::kCrashed:
      return "CRASH";
    case Verdict::kHung:
      return "HANG";
    case Verdict::kFlaky:
      return "FLAKY";
    default:
      return "FAIL";
  }
}

std::string element(const Mismatch& m) {
  const std::string shared = m.shared >= 0 ? fmt::format(", shared {}", m.shared) : "";
  return fmt::format("{}[token={}][slot={}{}]", m.is_weight ? "out_weights" : "out_ids", m.token, m.slot, shared);
}

// Every line of `text`, behind `indent`.
std::string indented(std::string_view text, std::string_view indent) {
  std::string lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines += fmt::format("{}{}\n", indent, text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

std::string Style::bad(std::string_view words) const { return painted(color, "1;31", words); }
std::string Style::good(std::string_view words) const { return painted(color, "1;32", words); }
std::string Style::dim(std::string_view words) const { return painted(color, "2", words); }

Style style_for(int descriptor, bool no_color) {
  const char* forbidden = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal != nullptr && std::string_view(terminal) == "dumb";
  return {.color = !no_color && (forbidden == nullptr || *forbidden == 0) && !dumb && isatty(descriptor) != 0};
}

std::string printable(std::string_view text) {
  std::string safe(text);
  for (char& c : safe) {
    const auto code = static_cast<unsigned char>(c);
    if ((code < 0x20 && c != '\n' && c != '\t') || code == 0x7f) c = '?';
  }
  return safe;
}

uint64_t hash_of(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

std::string shell_word(std::string_view word) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./=:,@%+").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return std::string(word);
  std::string result = "'";
  for (const char c : word) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result += c;
    }
  }
  return result + "'";
}

std::string failure_kind(std::string_view law, const Report& report) {
  std::string key = fmt::format("{}/{}/{}", law, report.law, name(report.verdict));
  // The signal or reason, without its particulars.
  if (report.verdict == Verdict::kCrashed) {
    key += "/" + report.detail.substr(0, report.detail.find_first_of(":,0123456789"));
    constexpr std::string_view kSanitizer = "Sanitizer: ";
    if (const std::size_t at = report.detail.find(kSanitizer); at != std::string::npos) {
      const std::size_t kind = at + kSanitizer.size();
      key += "/" + report.detail.substr(kind, report.detail.find(' ', kind) - kind);
    }
  }
  return key;
}

std::string failure_message(const Report& report, const Context& context, Style style) {
  std::string text = fmt::format("{} {}   law={}", style.bad(headline(report.verdict)), context.candidate,
                                 report.law.empty() ? std::string_view("none") : report.law);
  if (!context.origin.empty()) text += fmt::format("   {}", context.origin);
  text += '\n';

  const std::size_t shown = std::min<std::size_t>(report.mismatches.size(), 10);
  for (std::size_t i = 0; i < shown; ++i) {
    const Mismatch& m = report.mismatches[i];
    text += fmt::format("  {}  expected {}  got {}", element(m), m.expected, m.got);
    if (i == 0)
      text += fmt::format("    {} of {} weights, {} of {} ids", report.weights_wrong, report.weights_compared,
                          report.ids_wrong, report.ids_compared);
    text += '\n';
  }
  const int64_t wrong = report.weights_wrong + report.ids_wrong;
  if (wrong > static_cast<int64_t>(shown) && shown > 0)
    text += fmt::format("  and {} more\n", wrong - static_cast<int64_t>(shown));
  if (!report.detail.empty()) text += indented(printable(report.detail), "  ");
  // After a death nobody has looked.
  const bool looked = report.law != "no_crash" && report.law != "no_hang";
  if (looked && (report.verdict == Verdict::kFailed || report.verdict == Verdict::kFlaky))
    text += fmt::format("  guards {}, inputs {}, {}\n", report.guards_intact ? "intact" : "damaged",
                        report.inputs_unchanged ? "unchanged" : "changed",
                        report.all_written ? "all slots written" : "not all slots written");
  for (const std::string& note : context.notes) text += indented(note, "  ");
  if (!context.output.empty()) text += "  it printed:\n" + indented(printable(context.output), "    | ");
  if (!context.replay.empty()) text += fmt::format("  replay: {}\n", context.replay);
  return text;
}

uint64_t Totals::bad() const {
  uint64_t n = 0;
  for (int v = 0; v < kVerdicts; ++v)
    if (is_bad(static_cast<Verdict>(v))) n += count(static_cast<Verdict>(v));
  return n;
}

void Totals::add(const Totals& other) {
  cases += other.cases;
  seconds += other.seconds;
  for (std::size_t i = 0; i < verdicts.size(); ++i) verdicts[i] += other.verdicts[i];
  for (std::size_t i = 0; i < sources.size(); ++i) sources[i] += other.sources[i];
  ids_compared += other.ids_compared;
  weights_compared += other.weights_compared;
}

std::string rate_line(const Totals& totals) {
  const double rate = totals.seconds > 0 ? static_cast<double>(totals.cases) / totals.seconds : 0;
  return fmt::format("{} cases in {:.1f} s, {:.0f} cases/s", totals.cases, totals.seconds, rate);
}

std::string distribution_line(const Totals& totals) {
  const double cases = std::max(1.0, static_cast<double>(totals.cases));
  std::string text =
      fmt::format("mean {:.1f} output elements a case; sources:", static_cast<double>(totals.elements()) / cases);
  for (std::size_t s = 0; s < totals.sources.size(); ++s)
    text += fmt::format("{} {} {:.1f} %", s == 0 ? "" : ",", kSourceNames[s],
                        100 * static_cast<double>(totals.sources[s]) / cases);
  return text;
}

std::string verdict_line(const Totals& totals) {
  std::string text;
  for (std::size_t v = 0; v < totals.verdicts.size(); ++v)
    if (totals.verdicts[v] != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kVerdictNames[v], totals.verdicts[v]);
  return text.empty() ? "nothing" : text;
}

std::string duration(double seconds) {
  const auto s = std::llround(seconds);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
}

std::string bytes_text(uint64_t bytes) {
  const auto b = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  if (bytes < uint64_t{1} << 20) return fmt::format("{:.1f} KiB", b / 1024);
  if (bytes < uint64_t{1} << 30) return fmt::format("{:.1f} MiB", b / (1 << 20));
  return fmt::format("{:.1f} GiB", b / (1 << 30));
}

}  // namespace twincheck
