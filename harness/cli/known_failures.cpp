#include "harness/cli/known_failures.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <set>
#include <sstream>

#include "harness/cli/options.h"
#include "harness/judge/check.h"
#include "properties/law.h"

namespace twincheck {
namespace {

constexpr std::array<std::string_view, 7> kKeys{"law", "case", "on", "candidate", "reason", "link", "expires"};

bool is_promise(std::string_view name) {
  return name == "no_hang" || std::find(promise::kAll.begin(), promise::kAll.end(), name) != promise::kAll.end();
}

bool is_date(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00";
  if (text.size() != kForm.size()) return false;
  for (std::size_t i = 0; i < kForm.size(); ++i)
    if (kForm[i] == '-' ? text[i] != '-' : text[i] < '0' || text[i] > '9') return false;
  const auto number = [&](std::size_t at) { return (text[at] - '0') * 10 + (text[at + 1] - '0'); };
  const int year = number(0) * 100 + number(2), month = number(5), day = number(8);
  if (month < 1 || month > 12 || day < 1) return false;
  constexpr std::array kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return day <= kDays[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(path) {
    if (!file_) throw UsageError(fmt::format("--known-failures: {} cannot be read", path));
  }

  std::vector<KnownFailure> run() {
    std::string text;
    while (std::getline(file_, text)) {
      ++line_;
      const std::string_view line = trimmed(text);
      if (line.empty()) {
        close();
      } else if (line[0] != '#') {
        field(line);
      }
    }
    close();
    return std::move(all_);
  }

 private:
  [[noreturn]] void fail(int line, const std::string& found, const std::string& expected) const {
    throw UsageError(fmt::format("--known-failures: {}:{}: found {}, expected {}", path_, line, found, expected));
  }

  void field(std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string key(trimmed(line.substr(0, std::min(colon, line.size()))));
    if (colon == std::string_view::npos || std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
      fail(line_, fmt::format("'{}'", line), fmt::format("one of {}, then a colon", fmt::join(kKeys, ", ")));
    const std::string value(trimmed(line.substr(colon + 1)));
    if (value.empty()) fail(line_, fmt::format("{}: without a value", key), "one");
    if (seen_.empty()) {
      now_ = {};
      now_.line = line_;
    }
    if (!seen_.insert(key).second)
      fail(line_, fmt::format("{}: a second time", key), "each once; a blank line ends an entry");
    if (key == "law") {
      if (value != "*" && find_law(value) == nullptr && !is_promise(value))
        fail(line_, fmt::format("law: '{}'", value),
             "a law of `twincheck list`, a broken promise as failures name it, or *");
      now_.law = value;
    } else if (key == "case") {
      words(value);
    } else if (key == "expires") {
      if (!is_date(value)) fail(line_, fmt::format("expires: '{}'", value), "a date as 2025-12-31");
      now_.expires = value;
    } else {
      (key == "on" ? now_.on : key == "candidate" ? now_.candidate : key == "reason" ? now_.reason : now_.link) = value;
    }
  }

  void words(const std::string& value) {
    if (value == "*") return;
    std::istringstream stream(value);
    for (std::string word; stream >> word;) {
      const std::size_t equals = word.find('=');
      const std::string name = word.substr(0, equals);
      if (equals == std::string::npos || !is_field(name))
        fail(line_, fmt::format("case: '{}'", word), "FIELD=VALUE with a field of docs/case-format.md, or * alone");
      now_.words.push_back(word);
    }
  }

  void close() {
    if (seen_.empty()) return;
    for (const std::string_view key : kKeys)
      if (key != "candidate" && !seen_.contains(std::string(key)))
        fail(now_.line, fmt::format("an entry without {}:", key), "law, case, on, reason, link and expires");
    all_.push_back(std::move(now_));
    seen_.clear();
  }

  std::string path_;
  std::ifstream file_;
  int line_ = 0;
  KnownFailure now_;
  std::set<std::string> seen_;
  std::vector<KnownFailure> all_;
};

}  // namespace

bool KnownFailure::applies(std::string_view name, std::string_view platform, std::string_view architecture) const {
  if (candidate != "*" && candidate != name) return false;
  return on == "*" || on == platform || (!architecture.empty() && on == architecture.substr(0, architecture.find(':')));
}

bool KnownFailure::meets(std::string_view tried_law, std::string_view full_text) const {
  if (law != "*" && law != tried_law && !is_promise(law)) return false;
  return std::all_of(words.begin(), words.end(), [&](const std::string& word) {
    const std::string head = word.substr(0, word.find('=') + 1);
    const std::size_t at = full_text.find(" " + head);
    if (at == std::string_view::npos) return false;
    const std::string_view rest = full_text.substr(at + 1);
    return fnmatch(word.c_str(), std::string(rest.substr(0, rest.find(' '))).c_str(), 0) == 0;
  });
}

bool KnownFailure::explains(std::string_view tried_law, std::string_view broken_promise) const {
  return law == "*" || law == tried_law || law == broken_promise;
}

std::string KnownFailure::pattern() const { return words.empty() ? "*" : fmt::format("{}", fmt::join(words, " ")); }

std::vector<KnownFailure> read_known_failures(const std::string& path) { return Reader(path).run(); }

std::string today_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 16> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts);
  return text.data();
}

}  // namespace twincheck
