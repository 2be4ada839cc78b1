#include "harness/report/bytes.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace twincheck {
namespace {

constexpr std::size_t kText = 1000;        // of detail
constexpr std::size_t kElementText = 200;  // of an element's expected or got
constexpr std::size_t kMismatches = 10;

struct Writer {
  std::string bytes;

  template <typename T>
  void number(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view words, std::size_t most) {
    words = words.substr(0, most);
    number(static_cast<uint32_t>(words.size()));
    bytes.append(words);
  }
};

struct Reader {
  std::string_view bytes;
  bool whole = true;

  template <typename T>
  T number() {
    T value{};
    if (bytes.size() < sizeof value) {
      whole = false;
      bytes = {};
      return value;
    }
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes.remove_prefix(sizeof value);
    return value;
  }
  bool flag() { return number<uint8_t>() != 0; }
  std::string text() {
    const auto size = number<uint32_t>();
    if (size > bytes.size()) whole = false;
    std::string words{bytes.substr(0, size)};
    bytes.remove_prefix(words.size());
    return words;
  }
};

}  // namespace

std::string to_bytes(const Report& report) {
  Writer w;
  w.number(static_cast<uint8_t>(report.verdict));
  w.text(report.law, kElementText);
  w.text(report.detail, kText);
  w.number(report.ids_compared);
  w.number(report.ids_wrong);
  w.number(report.weights_compared);
  w.number(report.weights_wrong);
  w.number(static_cast<int32_t>(report.expected_status));
  w.number(report.got_status);
  w.number(static_cast<uint8_t>(report.guards_intact));
  w.number(static_cast<uint8_t>(report.inputs_unchanged));
  w.number(static_cast<uint8_t>(report.all_written));
  const std::size_t count = std::min(report.mismatches.size(), kMismatches);
  w.number(static_cast<uint32_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    const Mismatch& m = report.mismatches[i];
    w.number(static_cast<uint8_t>(m.is_weight));
    w.number(m.token);
    w.number(m.slot);
    w.number(m.shared);
    w.text(m.expected, kElementText);
    w.text(m.got, kElementText);
  }
  return w.bytes;
}

Report report_from(std::string_view bytes) {
  Reader r{bytes};
  Report report;
  const auto verdict = r.number<uint8_t>();
  if (verdict >= kVerdicts) r.whole = false;
  report.verdict = static_cast<Verdict>(verdict % kVerdicts);
  report.law = r.text();
  report.detail = r.text();
  report.ids_compared = r.number<int64_t>();
  report.ids_wrong = r.number<int64_t>();
  report.weights_compared = r.number<int64_t>();
  report.weights_wrong = r.number<int64_t>();
  report.expected_status = static_cast<Status>(r.number<int32_t>());
  report.got_status = r.number<int32_t>();
  report.guards_intact = r.flag();
  report.inputs_unchanged = r.flag();
  report.all_written = r.flag();
  const auto count = std::min<std::size_t>(r.number<uint32_t>(), kMismatches);
  for (std::size_t i = 0; i < count && r.whole; ++i) {
    Mismatch m{};
    m.is_weight = r.flag();
    m.token = r.number<int64_t>();
    m.slot = r.number<int64_t>();
    m.shared = r.number<int64_t>();
    m.expected = r.text();
    m.got = r.text();
    report.mismatches.push_back(std::move(m));
  }
  if (!r.whole) {
    report = {};
    report.verdict = Verdict::kCrashed;
    report.law = "no_crash";
    report.detail = "the worker's report cannot be read: its memory was overwritten";
  }
  return report;
}

}  // namespace twincheck
