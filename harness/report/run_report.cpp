#include "harness/report/run_report.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>

namespace twincheck {
namespace fs = std::filesystem;

uint64_t LawResult::cases() const { return std::accumulate(verdicts.begin(), verdicts.end(), uint64_t{0}); }

uint64_t LawResult::bad() const {
  uint64_t n = 0;
  for (std::size_t v = 0; v < verdicts.size(); ++v)
    if (is_bad(static_cast<Verdict>(v))) n += verdicts[v];
  return n;
}

const LawRecord* RunReport::law(std::string_view name) const {
  const auto it = std::find_if(laws.begin(), laws.end(), [&](const LawRecord& l) { return l.name == name; });
  return it == laws.end() ? nullptr : &*it;
}

std::string RunReport::command() const {
  std::string line;
  for (const std::string& word : arguments) line += (line.empty() ? "" : " ") + shell_word(word);
  return line;
}

std::string RunReport::cut_short() const {
  if (!error.empty()) return error;
  return interrupted ? "interrupted: this is what was done until then" : "";
}

std::string write_whole(const std::string& path, std::string_view contents) {
  const fs::path target(path);
  const std::string unfinished =
      (target.parent_path() / fmt::format(".{}.{}.tmp", target.filename().string(), getpid())).string();
  const auto trouble = [&](std::string_view what) {
    const std::string words = fmt::format("{}: {}: {}", path, what, std::strerror(errno));
    unlink(unfinished.c_str());
    return words;
  };
  const int file = open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return trouble("cannot be written");
  while (!contents.empty()) {
    const ssize_t n = write(file, contents.data(), contents.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const std::string words = trouble("cannot be written");
      close(file);
      return words;
    }
    contents.remove_prefix(static_cast<std::size_t>(n));
  }
  if (fsync(file) != 0 && errno != EINVAL) {
    const std::string words = trouble("cannot be written");
    close(file);
    return words;
  }
  if (close(file) != 0) return trouble("cannot be written");
  if (rename(unfinished.c_str(), path.c_str()) != 0) return trouble("cannot be put in its place");
  return {};
}

std::string trouble_with_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!fs::is_directory(folder))
    return fmt::format("{}: {}", folder, error ? error.message() : std::string("is not a folder"));
  const std::string probe = fmt::format("{}/.twincheck.{}.tmp", folder, getpid());
  const int file = open(probe.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return fmt::format("{}: no file can be written into it: {}", folder, std::strerror(errno));
  close(file);
  unlink(probe.c_str());
  return {};
}

std::string write_reports(const RunReport& run, const std::string& folder) {
  using Format = std::string (*)(const RunReport&);
  constexpr std::pair<const char*, Format> kFormats[] = {{"results.json", results_json},
                                                         {"junit.xml", junit_xml},
                                                         {"results.sarif", results_sarif},
                                                         {"index.html", index_html}};
  for (const auto& [name, format] : kFormats)
    if (std::string trouble = write_whole(folder + "/" + name, format(run)); !trouble.empty()) return trouble;
  return {};
}

}  // namespace twincheck
