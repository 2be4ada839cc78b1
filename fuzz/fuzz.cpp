#include "fuzz/fuzz.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "harness/report/message.h"

namespace twincheck::fuzz {
namespace {

std::string artifact_prefix = "./";

struct Machine {
  int64_t order_seed = 0, wave = 64, devices = 1;
} machine;

Candidate chosen() {
  const char* library = std::getenv("TWINCHECK_FUZZ_CANDIDATE");
  if (library != nullptr && *library != 0) {
    try {
      return load_candidate(library);
    } catch (const LoadError& e) {
      fmt::print(stderr, "fuzz: {}\n", e.what());
      std::exit(2);
    }
  }
  if (twincheck_abi() != TWINCHECK_ABI) std::abort();
  Candidate linked;
  linked.name = twincheck_name();
  linked.path = "(linked)";
  linked.memory = static_cast<MemoryKind>(twincheck_memory_kind());
  linked.exact_status = twincheck_get("exact_status") == 1;
  linked.append = twincheck_append;
  linked.last_error = twincheck_last_error;
  linked.set = twincheck_set;
  linked.get = twincheck_get;
  return linked;
}

// In [0, limit]; a number that is there stays. What wild bytes say becomes a small number: a large input takes the time of
// thirty small ones, and should come of somebody's asking for it.
int64_t fold(int64_t value, int64_t limit) {
  if (value >= 0 && value <= limit) return value;
  return (value < 0 ? ~value : value) % std::min<int64_t>(limit + 1, 13);
}

void fold_sizes(Case& c) {
  if (c.source < TWINCHECK_CONSTANT || c.source > TWINCHECK_GATE)
    c.source = static_cast<int32_t>(static_cast<uint32_t>(c.source) % 4);
  c.top_k = fold(c.top_k, 64);
  c.shared = fold(c.shared, 24);
  c.hidden = c.source == TWINCHECK_GATE ? fold(c.hidden, kMaxHiddenElements) : 0;
  c.tokens = fold(c.tokens, 400);
  if (c.hidden > 0) c.tokens = std::min(c.tokens, kMaxHiddenElements / c.hidden);
  if (c.top_k + c.shared > 0) c.tokens = std::min(c.tokens, kMaxOutputElements / (c.top_k + c.shared));
  if (c.source == TWINCHECK_GATE && c.hidden == 0 && c.tokens > 0 && c.shared > 0) c.hidden = 1;
  const bool reads_shared = c.source == TWINCHECK_WEIGHTS || c.source == TWINCHECK_LOGITS;
  c.broadcast = c.broadcast && reads_shared;
  if (c.args_size && *c.args_size < sizeof(AppendArgs)) c.args_size.reset();
}

Dtype float_dtype(Dtype d) { return d == Dtype::kBf16 || d == Dtype::kF16 ? d : Dtype::kF32; }

void fold_parameters(Case& c) {
  if (c.ids_dtype != Dtype::kI64) c.ids_dtype = Dtype::kI32;
  c.weights_dtype = float_dtype(c.weights_dtype);
  c.shared_dtype = float_dtype(c.shared_dtype);
  if (c.source == TWINCHECK_WEIGHTS) c.scale_bits = 0x3f800000;
  if ((c.scale_bits & 0x7f800000) == 0x7f800000) c.scale_bits ^= 0x00800000;
  if (c.remap < 0) c.remap = ~c.remap;
  if (c.in_place != InPlace::kNone) c.remap = 0;
  const int64_t largest =
      c.ids_dtype == Dtype::kI32 ? std::numeric_limits<int32_t>::max() : std::numeric_limits<int64_t>::max();
  if (c.base_id < 0) c.base_id = ~c.base_id;
  if (c.shared > 0 && c.base_id > largest - (c.shared - 1)) c.base_id = largest - (c.shared - 1) - c.base_id % 4;
}

void fold_layout(Case& c, Operand o) {
  Layout& l = c.of(o);
  l.rows.reset();
  l.cols.reset();
  l.offset %= 64;
  if (!is_used(c, o)) {
    if (l.pointer != Pointer::kNull) l.pointer = Pointer::kOwn;
    l.pointer_operand = Operand::kTopkIds;
    l.pointer_bytes = 0;
    return;
  }
  l.dtype.reset();
  if (is_in_place(c, o)) {
    l = {};
    return;
  }
  const Matrix m = implied_matrix_of(c, o);
  const bool empty = is_empty(m);
  if (!empty || l.pointer != Pointer::kNull) l.pointer = Pointer::kOwn;
  l.pointer_operand = Operand::kTopkIds;
  l.pointer_bytes = 0;
  if (!l.row_stride || m.rows <= 1 || empty) return;
  // Far apart (offsets past 2^31 elements, in pages of their own) where rows are few; near where they are many.
  const int64_t extra = *l.row_stride < m.cols ? ~*l.row_stride : *l.row_stride - m.cols;
  constexpr int64_t kFar = int64_t{1} << 30;
  if (*l.row_stride >= kFar && extra >= kFar && extra <= 2 * kFar + 64 && m.rows <= 4) return;
  l.row_stride = m.cols + fold(extra, 67);
}

}  // namespace

const Candidate& candidate() {
  static const Candidate it = chosen();
  return it;
}

bool is_linked() { return candidate().library == nullptr; }

Bench& bench() {
  static Bench it(MemoryKind::kHost, uint64_t{64} << 20);
  return it;
}

uint64_t hash(std::span<const uint8_t> bytes) {
  uint64_t h = 0xcbf29ce484222325;
  for (const uint8_t b : bytes) h = (h ^ b) * 0x100000001b3;
  return h ^ (h >> 29);
}

void set_machine(uint64_t seed) {
  const Candidate& c = candidate();
  if (c.set == nullptr) return;
  machine = {.order_seed = static_cast<int64_t>(seed >> 1 | 1),
             .wave = seed & 1 ? 32 : 64,
             .devices = (seed >> 1) % 8 == 0 ? 2 : 1};
  c.set("order_seed", machine.order_seed);
  c.set("wave", machine.wave);
  c.set("devices", machine.devices);
}

Case valid_case(Case c) {
  fold_sizes(c);
  fold_parameters(c);
  for (int i = 0; i < kOperands; ++i) fold_layout(c, static_cast<Operand>(i));
  for (std::size_t i = 0; i < kInputs; ++i) {
    const auto o = static_cast<Operand>(i);
    const Matrix m = implied_matrix_of(c, o);
    const auto most = is_used(c, o) ? static_cast<std::size_t>(m.rows * m.cols) : 0;
    if (c.literal[i].size() > most) c.literal[i].resize(most);
  }
  return c;
}

namespace {

// What `verb` takes to show it again: `words`, or the saved file where they are empty.
[[noreturn]] void say_and_save(const Report& report, std::string_view contents, std::string_view extension,
                               std::string_view verb, std::string_view words) {
  const std::string path = fmt::format("{}mismatch-{:016x}.{}", artifact_prefix, hash_of(contents), extension);
  std::vector<std::string> notes;
  if (machine.order_seed != 0)
    notes.push_back(fmt::format("order_seed {}, wave {}, devices {}", machine.order_seed, machine.wave, machine.devices));
  fmt::print(stderr, "\n{}",
             failure_message(report,
                             {.candidate = candidate().name,
                              .origin = path,
                              .replay = fmt::format("twincheck {} {}", verb, words.empty() ? path : words),
                              .output = {},
                              .notes = notes},
                             Style{}));
  if (std::FILE* file = std::fopen(path.c_str(), "w")) {
    std::fwrite(contents.data(), 1, contents.size(), file);
    std::fclose(file);
  }
  std::fflush(nullptr);
  std::abort();
}

}  // namespace

Report broken(std::string_view law, std::string_view detail) {
  Report report;
  report.verdict = Verdict::kFailed;
  report.law = law;
  report.detail = detail;
  return report;
}

void fail(std::span<const Case> cases, const Report& report) {
  std::string lines;
  for (const Case& c : cases) lines += text(c) + "\n";
  const std::string contents = fmt::format("# law: {}\n# {}\n{}", report.law.empty() ? promise::kNoCrash : report.law,
                                           report.detail.empty() ? "found by a fuzzer" : report.detail, lines);
  say_and_save(report, contents, "case", "replay", cases.size() == 1 ? shell_word(text(cases.front())) : "");
}

void fail(const Case& c, const Report& report) { fail({&c, 1}, report); }

void fail(const Case& c, std::string_view law, std::string_view detail) { fail(c, broken(law, detail)); }

void fail_input(std::string_view input, std::string_view law, std::string_view detail) {
  const bool is_record = input.starts_with('{');
  say_and_save(broken(law, detail), input, is_record ? "jsonl" : "case", is_record ? "golden" : "replay", "");
}

bool shows() {
  static const bool wanted = std::getenv("TWINCHECK_FUZZ_SHOW") != nullptr;
  return wanted;
}

void show(const Case& c) {
  if (shows()) show(text(c));
}

void show(std::string_view line) {
  if (!shows()) return;
  fmt::print(stderr, "case: {}\n", line);
  std::fflush(stderr);
}

}  // namespace twincheck::fuzz

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  constexpr std::string_view kPrefix = "-artifact_prefix=";
  for (int i = 1; i < *count; ++i) {
    const std::string_view argument = (*arguments)[i];
    if (argument.substr(0, kPrefix.size()) == kPrefix) twincheck::fuzz::artifact_prefix = argument.substr(kPrefix.size());
  }
  (void)twincheck::fuzz::candidate();  // a library's counters must be known before the first input
  return 0;
}
