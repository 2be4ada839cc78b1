#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "harness/bench/files.h"

namespace twincheck::bench {
namespace {

constexpr int kPanelWidth = 460, kPanelHeight = 280, kLeft = 62, kTop = 64, kBetween = 70, kBelow = 58;
constexpr int kWidth = kLeft + 2 * kPanelWidth + kBetween + 24, kHeight = kTop + kPanelHeight + kBelow;
constexpr int kColors = 6;

// Hues that colour-blind eyes tell apart too; the marks and dashes differ as well.
constexpr const char* kStyle = R"(
  text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #1b1f27; }
  .title { font-weight: 600; font-size: 14px; } .faint { fill: #5a6272; } .back { fill: #ffffff; }
  .grid { stroke: #d5d9e0; stroke-width: 1; } .frame { stroke: #5a6272; fill: none; }
  .ceiling { stroke: #5a6272; stroke-width: 1.5; fill: none; stroke-dasharray: 7 4; }
  .empty { stroke-dasharray: 2 3; } .curve { fill: none; stroke-width: 2; }
  .s0 { stroke: #0b62b8; } .f0 { fill: #0b62b8; } .s1 { stroke: #b8500b; } .f1 { fill: #b8500b; } .s2 { stroke: #0d7d5f; } .f2 { fill: #0d7d5f; }
  .s3 { stroke: #a02c7c; } .f3 { fill: #a02c7c; } .s4 { stroke: #6a5500; } .f4 { fill: #6a5500; } .s5 { stroke: #5b3fb5; } .f5 { fill: #5b3fb5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e9ef; } .faint { fill: #a0a8b6; } .back { fill: #14171c; }
    .grid { stroke: #39404c; } .frame, .ceiling { stroke: #a0a8b6; }
    .s0 { stroke: #6cb4ff; } .f0 { fill: #6cb4ff; } .s1 { stroke: #ffab6b; } .f1 { fill: #ffab6b; } .s2 { stroke: #58d1ab; } .f2 { fill: #58d1ab; }
    .s3 { stroke: #f08ccb; } .f3 { fill: #f08ccb; } .s4 { stroke: #dcc562; } .f4 { fill: #dcc562; } .s5 { stroke: #b7a2ff; } .f5 { fill: #b7a2ff; }
  }
)";
constexpr const char* kDashes[] = {"none", "9 3", "3 3", "9 3 3 3"};

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else if (static_cast<unsigned char>(c) < 0x20)
      result += '?';
    else
      result += c;
  }
  return result;
}

std::string count_text(double n) {
  if (n >= 1e6) return fmt::format("{:g} M", n / 1e6);
  return n >= 1e3 ? fmt::format("{:g} k", n / 1e3) : fmt::format("{:g}", n);
}

struct Axis {
  double low, high;
  bool logarithmic;

  double at(double value) const {
    if (logarithmic) return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
    return (value - low) / (high - low);
  }
};

// From a power of ten to another.
Axis decades(double low, double high) {
  const double first = std::pow(10, std::floor(std::log10(low))), last = std::pow(10, std::ceil(std::log10(high)));
  return {first, std::max(last, first * 10), true};
}

struct Panel {
  double left, top;
  Axis x, y;

  double across(double value) const { return left + kPanelWidth * std::clamp(x.at(value), 0.0, 1.0); }
  double up(double value) const { return top + kPanelHeight * (1 - std::clamp(y.at(value), 0.0, 1.0)); }

  std::string frame(const std::string& title, const std::vector<double>& steps, const char* unit) const {
    std::string text;
    for (double n = x.low; n <= x.high * 1.01; n *= 10)
      text += fmt::format(
          "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
          "<text class=\"faint\" x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4}</text>\n",
          across(n), top, top + kPanelHeight, top + kPanelHeight + 17, count_text(n));
    for (const double step : steps)
      text += fmt::format(
          "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
          "<text class=\"faint\" x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:g}{6}</text>\n",
          left, left + kPanelWidth, up(step), left - 7, up(step) + 4, step, unit);
    text += fmt::format(
        "<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>"
        "<text x=\"{}\" y=\"{}\">{}</text>"
        "<text class=\"faint\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">tokens</text>\n",
        left, top, kPanelWidth, kPanelHeight, left, top - 8, title, left + kPanelWidth / 2.0, top + kPanelHeight + 35);
    return text;
  }

  std::string line(const std::vector<std::pair<double, double>>& points, const std::string& attributes) const {
    if (points.size() < 2) return {};
    std::string path;
    for (const auto& [n, value] : points)
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", across(n), up(value));
    return fmt::format("<path {} d=\"{}\"/>\n", attributes, path);
  }
};

std::string mark(double x, double y, std::size_t which, const std::string& title) {
  const std::string fill = fmt::format("class=\"f{}\"", which % kColors);
  const std::string inside = title.empty() ? "" : fmt::format("<title>{}</title>", title);
  switch (which % 4) {
    case 0:
      return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.6\" {}>{}</circle>\n", x, y, fill, inside);
    case 1:
      return fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"6.6\" height=\"6.6\" {}>{}</rect>\n", x - 3.3, y - 3.3,
                         fill, inside);
    case 2:
      return fmt::format("<path d=\"M{:.1f} {:.1f}l4.2 7.4h-8.4z\" {}>{}</path>\n", x, y - 4.6, fill, inside);
    default:
      return fmt::format("<path d=\"M{:.1f} {:.1f}l4.6 4.6-4.6 4.6-4.6-4.6z\" {}>{}</path>\n", x, y - 4.6, fill, inside);
  }
}

using Points = std::vector<const BenchPoint*>;

// One shape: its points that were timed, those of the empty kernel apart.
std::string drawing(const BenchRecord& run, const std::string& label, double top, const std::vector<std::string>& names) {
  Points points, empty;
  for (const BenchPoint& p : run.points)
    if (p.label == label && p.timed() && p.tokens > 0) (p.candidate == run.empty ? empty : points).push_back(&p);
  std::string text = fmt::format("<text class=\"title\" x=\"{}\" y=\"{}\">{}</text>\n", kLeft, top + 22, escaped(label));
  if (points.empty()) return text + fmt::format("<text x=\"{}\" y=\"{}\">nothing was timed</text>\n", kLeft, top + 50);

  const double copy = run.copy_bytes_per_second;
  const auto floor_of = [copy](const BenchPoint& p) { return static_cast<double>(p.bytes) * 1e6 / copy; };
  double first = 1e300, last = 0, least = 1e300, most = 0;
  for (const Points& list : {points, empty})
    for (const BenchPoint* p : list) {
      first = std::min(first, static_cast<double>(p->tokens));
      last = std::max(last, static_cast<double>(p->tokens));
      least = std::min(least, p->microseconds);
      most = std::max(most, p->microseconds);
    }
  const Axis tokens = decades(first, last);
  const Panel time{kLeft, top + kTop, tokens, decades(least, most)};
  const Panel share{kLeft + kPanelWidth + kBetween, top + kTop, tokens, {0, 110, false}};
  std::vector<double> steps;
  for (double us = time.y.low; us <= time.y.high * 1.01; us *= 10) steps.push_back(us);
  text += time.frame("microseconds a call", steps, "");
  if (copy > 0)
    text += share.frame(fmt::format("share of the copy rate, {:.0f} GB/s", copy / 1e9), {0, 20, 40, 60, 80, 100}, " %");

  std::vector<std::pair<double, double>> line;
  for (const BenchPoint* p : empty) line.emplace_back(p->tokens, p->microseconds);
  text += time.line(line, "class=\"ceiling empty\"");
  if (copy > 0) {
    line.clear();
    for (const BenchPoint* p : points)
      if (p->candidate == points.front()->candidate && floor_of(*p) >= time.y.low)
        line.emplace_back(p->tokens, floor_of(*p));
    text += time.line(line, "class=\"ceiling\"");
    text += share.line({{tokens.low, 100}, {tokens.high, 100}}, "class=\"ceiling\"");
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string attributes = fmt::format("class=\"curve s{}\" stroke-dasharray=\"{}\"", i % kColors, kDashes[i % 4]);
    std::vector<std::pair<double, double>> times, shares;
    std::string marks;
    for (const BenchPoint* p : points) {
      if (p->candidate != names[i]) continue;
      const double percent = copy > 0 ? 100 * p->bytes_per_second() / copy : 0;
      const std::string title = fmt::format("{}, {} tokens: {:.2f} us, {:.0f} GB/s", escaped(p->candidate), p->tokens,
                                            p->microseconds, p->bytes_per_second() / 1e9);
      times.emplace_back(p->tokens, p->microseconds);
      shares.emplace_back(p->tokens, percent);
      marks += mark(time.across(static_cast<double>(p->tokens)), time.up(p->microseconds), i, title);
      if (copy > 0) marks += mark(share.across(static_cast<double>(p->tokens)), share.up(percent), i, title);
    }
    text += time.line(times, attributes);
    if (copy > 0) text += share.line(shares, attributes);
    text += marks;
  }
  return text;
}

}  // namespace

std::string svg(const BenchRecord& run) {
  std::vector<std::string> labels, names;
  const auto add = [](std::vector<std::string>& list, const std::string& name) {
    if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
  };
  for (const BenchPoint& p : run.points) {
    add(labels, p.label);
    if (p.candidate != run.empty) add(names, p.candidate);
  }
  const std::size_t left_out = labels.size() > kMostPlots ? labels.size() - kMostPlots : 0;
  labels.resize(labels.size() - left_out);

  constexpr int kHead = 74;
  const int height = kHead + static_cast<int>(labels.size()) * kHeight + (left_out > 0 ? 30 : 0);
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "width=\"{0}\" height=\"{1}\" role=\"img\" "
      "aria-labelledby=\"bench-title\">\n<title id=\"bench-title\">Time and share of the copy rate over tokens, "
      "{2}</title>\n"
      "<style>{3}</style>\n<rect width=\"{0}\" height=\"{1}\" class=\"back\"/>\n"
      "<text class=\"title\" x=\"{4}\" y=\"28\">twincheck bench: {2}</text>\n",
      kWidth, height, escaped(run.device), kStyle, kLeft);
  double x = kLeft;
  const auto entry = [&text, &x](const std::string& sample, const std::string& words) {
    text += sample + fmt::format("<text x=\"{:.0f}\" y=\"56\">{}</text>\n", x + 40, escaped(words));
    x += 62 + 7.2 * static_cast<double>(words.size());
  };
  for (std::size_t i = 0; i < names.size(); ++i)
    entry(fmt::format("<path class=\"curve s{}\" stroke-dasharray=\"{}\" d=\"M{:.0f} 52h34\"/>{}", i % kColors,
                      kDashes[i % 4], x, mark(x + 17, 52, i, "")),
          names[i]);
  if (!run.empty.empty()) entry(fmt::format("<path class=\"ceiling empty\" d=\"M{:.0f} 52h34\"/>", x), "empty kernel");
  if (run.copy_bytes_per_second > 0) entry(fmt::format("<path class=\"ceiling\" d=\"M{:.0f} 52h34\"/>", x), "copy rate");
  for (std::size_t i = 0; i < labels.size(); ++i)
    text += drawing(run, labels[i], kHead + static_cast<double>(i) * kHeight, names);
  if (left_out > 0)
    text += fmt::format("<text class=\"faint\" x=\"{}\" y=\"{}\">{} further shapes are not drawn</text>\n", kLeft,
                        height - 12, left_out);
  return text + "</svg>\n";
}

}  // namespace twincheck::bench
