#include "harness/bench/files.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace twincheck::bench {
namespace {

using Json = nlohmann::json;

std::string csv_field(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? "\"\"" : std::string(1, c);
  return result + '"';
}

}  // namespace

std::string csv(const BenchRecord& run) {
  std::string text = "candidate,shape,tokens,bytes,microseconds,low,high,gb_per_s,copy_share,method,calls,verdict,case\n";
  for (const BenchPoint& p : run.points) {
    const double share = run.copy_bytes_per_second > 0 ? p.bytes_per_second() / run.copy_bytes_per_second : 0;
    text += fmt::format("{},{},{},{},{:.4f},{:.4f},{:.4f},{:.1f},{:.4f},{},{},{},{}\n", csv_field(p.candidate),
                        csv_field(p.label), p.tokens, p.bytes, p.microseconds, p.low, p.high, p.bytes_per_second() / 1e9,
                        share, p.method, p.calls, p.verdict, csv_field(p.case_text));
  }
  return text;
}

BenchRecord from_json(std::string_view text) {
  BenchRecord run;
  try {
    const Json file = Json::parse(text);
    if (file.at("format") != kBenchFormat) throw FormatError("it is no file that `twincheck bench --json` writes");
    if (file.at("version") != kBenchVersion)
      throw FormatError(fmt::format("version: found {}, expected {}", file.at("version").dump(), kBenchVersion));
    file.at("platform").get_to(run.platform);
    file.at("device").get_to(run.device);
    file.at("copy_bytes_per_second").get_to(run.copy_bytes_per_second);
    file.at("empty").get_to(run.empty);
    for (const Json& point : file.at("points")) {
      BenchPoint& p = run.points.emplace_back();
      point.at("candidate").get_to(p.candidate);
      point.at("label").get_to(p.label);
      point.at("case").get_to(p.case_text);
      point.at("tokens").get_to(p.tokens);
      point.at("microseconds").get_to(p.microseconds);
      point.at("verdict").get_to(p.verdict);
    }
  } catch (const Json::exception& e) {
    throw FormatError(e.what());
  }
  return run;
}

}  // namespace twincheck::bench
