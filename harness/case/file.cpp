#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "harness/case/case.h"

namespace twincheck {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view s) {
  const std::size_t first = s.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return s.substr(first, s.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

CaseFile parse_file(std::string_view contents, std::string_view origin) {
  CaseFile file;
  std::size_t number = 0;
  for (std::size_t start = 0; start < contents.size();) {
    const std::size_t end = std::min(contents.find('\n', start), contents.size());
    const std::string_view whole = contents.substr(start, end - start);
    start = end + 1;
    ++number;
    const std::size_t hash = std::min(whole.find('#'), whole.size());
    if (hash < whole.size() && file.law.empty()) {
      constexpr std::string_view kLaw = "law:";
      const std::string_view comment = trimmed(whole.substr(hash + 1));
      if (comment.substr(0, kLaw.size()) == kLaw) file.law = trimmed(comment.substr(kLaw.size()));
    }
    const std::string_view line = whole.substr(0, hash);
    if (trimmed(line).empty()) continue;
    try {
      file.cases.push_back(parse(line));
    } catch (const ParseError& error) {
      throw FileError(fmt::format("{}:{}:{}: {}", origin, number, error.column, error.what()));
    }
    file.lines.push_back(number);
  }
  return file;
}

CaseFile read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in.is_open()) throw FileError(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
  std::string contents;
  try {
    contents.assign(std::istreambuf_iterator<char>(in), {});
  } catch (const std::ios_base::failure& error) {
    throw FileError(fmt::format("{}: cannot be read: {}", path, error.code().message()));
  }
  return parse_file(contents, path);
}

}  // namespace twincheck
