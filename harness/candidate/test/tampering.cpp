// The candidate "tampering.<behaviour>": see behaviours.h.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/candidate/test/behaviours.h"
#include "harness/candidate/test/independent.h"

namespace {

using tampering::Act;
using tampering::Target;
using Args = twincheck_append_args;
using Matrix = twincheck_matrix;
using Bytes = std::vector<unsigned char>;
using Key = std::vector<int64_t>;

struct Outputs {
  Bytes ids, weights;
};

struct State {
  int64_t calls = 0;
  std::map<Key, Outputs> answers;
  std::map<Key, Bytes> columns;
  const void* last_ids = nullptr;
  const void* last_out_ids = nullptr;
  int64_t in_a_row = 0;
  std::size_t leaked = 0;
};

struct Settings {
  int behaviour = 0;
  int64_t at = 0;
  int64_t base_id = -1;
  int64_t exact_status = 1;
  std::string name;
};

int64_t number_from(const char* variable, int64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoll(text, nullptr, 10) : otherwise;
}

Settings from_environment() {
  Settings s;
  const char* name = std::getenv("TAMPER");
  s.behaviour = tampering::find(name != nullptr ? name : "right");
  s.at = number_from("TAMPER_AT", s.at);
  s.base_id = number_from("TAMPER_BASE_ID", s.base_id);
  s.exact_status = number_from("TAMPER_EXACT", s.exact_status);
  return s;
}

Settings settings = from_environment();
State state;
std::mutex guard;
thread_local const char* last_reason = "";

const tampering::Behaviour& behaviour() { return tampering::kBehaviours[static_cast<std::size_t>(settings.behaviour)]; }

int32_t answer(int32_t status, const char* reason) {
  last_reason = reason;
  return status;
}

int32_t right(const Args& args) {
  const independent::Answer a = independent::append(args);
  return answer(a.status, a.reason);
}

// Where things lie in a valid case.

const Matrix& matrix(const Args& a, Target target) {
  switch (target) {
    case Target::kTopkIds:
      return a.topk_ids;
    case Target::kTopkWeights:
      return a.topk_weights;
    case Target::kShared:
      return a.shared;
    case Target::kHidden:
      return a.hidden;
    case Target::kGate:
      return a.gate;
    case Target::kOutIds:
      return a.out_ids;
    case Target::kOutWeights:
    case Target::kNone:
      break;
  }
  return a.out_weights;
}

bool empty(const Matrix& m) { return m.rows == 0 || m.cols == 0; }

bool in_place(const Args& a, Target target) {
  if (target == Target::kTopkIds) return a.topk_ids.data == a.out_ids.data;
  return target == Target::kTopkWeights && a.topk_weights.data == a.out_weights.data;
}

int64_t element_bytes(const Matrix& m) {
  if (m.dtype == TWINCHECK_I64) return 8;
  return m.dtype == TWINCHECK_I32 || m.dtype == TWINCHECK_F32 ? 4 : 2;
}

unsigned char* element(const Matrix& m, int64_t row, int64_t col) {
  return static_cast<unsigned char*>(m.data) + ((row > 0 ? row * m.row_stride : 0) + col) * element_bytes(m);
}

unsigned char* end_of(const Matrix& m) { return element(m, m.rows - 1, m.cols); }

// Adds, so that doing it twice does not undo it.
void change(unsigned char* byte) { *byte = static_cast<unsigned char>(*byte + 1); }

// The same through a pipe, which refuses an address that is not there: the pointers of a refused case may be anything.
void change_if_there(unsigned char* byte) {
  int ends[2];
  unsigned char value;
  if (pipe(ends) != 0) std::abort();
  if (write(ends[1], byte, 1) == 1 && read(ends[0], &value, 1) == 1) {
    change(&value);
    const bool moved = write(ends[1], &value, 1) == 1 && read(ends[0], byte, 1) == 1;
    (void)moved;
  }
  close(ends[0]);
  close(ends[1]);
}

// The last routed or appended element of the last token of an output; null where there is none, or where it is an input.
unsigned char* last_routed(const Args& a, Target output) {
  const bool shares = in_place(a, output == Target::kOutIds ? Target::kTopkIds : Target::kTopkWeights);
  if (a.topk_ids.rows == 0 || a.topk_ids.cols == 0 || shares) return nullptr;
  return element(matrix(a, output), a.topk_ids.rows - 1, a.topk_ids.cols - 1);
}

unsigned char* last_appended(const Args& a, Target output) {
  if (a.topk_ids.rows == 0 || a.num_shared == 0) return nullptr;
  const Matrix& m = matrix(a, output);
  return element(m, m.rows - 1, m.cols - 1);
}

std::size_t weight_bytes(const Matrix& m) { return m.dtype == TWINCHECK_F32 ? 4 : 2; }

uint32_t weight_at(const Matrix& m, const unsigned char* at) {
  uint32_t bits = 0;
  std::memcpy(&bits, at, weight_bytes(m));
  return bits;
}

void set_weight(const Matrix& m, unsigned char* at, uint32_t bits) { std::memcpy(at, &bits, weight_bytes(m)); }

struct Format {
  uint32_t sign, infinity, one;
};

Format format_of(const Matrix& m) {
  if (m.dtype == TWINCHECK_F32) return {0x80000000u, 0x7f800000u, 0x3f800000u};
  if (m.dtype == TWINCHECK_BF16) return {0x8000u, 0x7f80u, 0x3f80u};
  return {0x8000u, 0x7c00u, 0x3c00u};
}

bool is_nan(const Matrix& m, uint32_t bits) {
  const Format f = format_of(m);
  return (bits & ~f.sign) > f.infinity;
}

bool is_sigmoid(const Args& a) { return a.source == TWINCHECK_LOGITS || a.source == TWINCHECK_GATE; }

void one_id_wrong(const Args& a) {
  unsigned char* id = last_appended(a, Target::kOutIds);
  if (id == nullptr) id = last_routed(a, Target::kOutIds);
  if (id != nullptr) change(id);
}

void other_right_bits(const Args& a) {
  const Matrix& m = a.out_weights;
  if (empty(m) || a.num_shared == 0) return;
  const Format f = format_of(m);
  const bool converts = a.source == TWINCHECK_WEIGHTS && a.shared.dtype != m.dtype;
  for (int64_t slot = a.topk_ids.cols; slot < m.cols; ++slot) {
    unsigned char* at = element(m, m.rows - 1, slot);
    const uint32_t bits = weight_at(m, at);
    const uint32_t magnitude = bits & ~f.sign;
    if (converts && is_nan(m, bits)) return set_weight(m, at, bits ^ f.sign);
    if (is_sigmoid(a) && m.dtype == TWINCHECK_F32 && magnitude > 0 && magnitude < f.infinity) {
      return set_weight(m, at, bits - 1);
    }
  }
}

// Columns [first, first + cols) of rows [0, rows), dense.

Bytes copy(const Matrix& m, int64_t first, int64_t cols, int64_t rows) {
  const std::size_t row = static_cast<std::size_t>(cols * element_bytes(m));
  Bytes bytes(row * static_cast<std::size_t>(rows));
  for (int64_t r = 0; r < rows && row > 0; ++r) {
    std::memcpy(bytes.data() + static_cast<std::size_t>(r) * row, element(m, r, first), row);
  }
  return bytes;
}

void paste_row(const Matrix& m, int64_t first, int64_t cols, int64_t row, const Bytes& bytes) {
  const std::size_t n = static_cast<std::size_t>(cols * element_bytes(m));
  if (n > 0) std::memcpy(element(m, row, first), bytes.data() + static_cast<std::size_t>(row) * n, n);
}

void paste(const Matrix& m, int64_t first, int64_t cols, int64_t rows, const Bytes& bytes) {
  for (int64_t r = 0; r < rows; ++r) paste_row(m, first, cols, r, bytes);
}

// Deaths.

unsigned char* inaccessible_page() {
  return static_cast<unsigned char*>(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

void touch(volatile unsigned char* byte) { *byte = 1; }

__attribute__((no_sanitize("undefined"))) void divide_by_zero() {
  volatile int zero = 0;
  volatile int quotient = 1 / zero;
  (void)quotient;
}

void touch_past_file() {
  std::FILE* file = std::tmpfile();
  if (file == nullptr) std::abort();
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
  if (page != MAP_FAILED) touch(static_cast<unsigned char*>(page));
}

volatile bool without_end = true;

int recurse(int depth) {
  volatile unsigned char frame[1024];
  frame[0] = static_cast<unsigned char>(depth);
  return without_end ? recurse(depth + 1) + frame[0] : frame[0];
}

constexpr std::size_t kStep = std::size_t{16} << 20;
constexpr std::size_t kMostSteps = 512;

// A step's worth of resident memory; null where there is no more.
void* resident_step() {
  void* step = mmap(nullptr, kStep, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (step == MAP_FAILED) return nullptr;
  for (std::size_t page = 0; page < kStep; page += 4096) touch(static_cast<unsigned char*>(step) + page);
  return step;
}

void grow() {
  std::vector<void*> steps;
  while (steps.size() < kMostSteps) {
    void* step = resident_step();
    if (step == nullptr) break;
    steps.push_back(step);
  }
  for (void* step : steps) munmap(step, kStep);
}

void print() {
  const std::string line = std::string(63, '#') + '\n';
  for (int i = 0; i < 16384; ++i) std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

void shut_out_signals() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction ignore = {};
    ignore.sa_handler = SIG_IGN;
    sigaction(number, &ignore, nullptr);
  }
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

void leave_at_once(int) { _exit(0); }

// Dies, or does its mischief and returns; nothing for an act of another kind.
void misbehave(Act act) {
  switch (act) {
    case Act::kSigsegv:
      touch(inaccessible_page());
      break;
    case Act::kSigfpe:
      divide_by_zero();
      std::raise(SIGFPE);
      break;
    case Act::kSigbus:
      touch_past_file();
      break;
    case Act::kSigill:
#if defined(__x86_64__)
      __asm__ volatile("ud2");
#else
      std::raise(SIGILL);
#endif
      break;
    case Act::kSigkill:
      kill(getpid(), SIGKILL);
      break;
    case Act::kAbort:
      std::abort();
    case Act::kOverflowStack:
      recurse(0);
      break;
    case Act::kExitAtOnce:
      _exit(0);
    case Act::kExit:
      std::exit(0);
    case Act::kExit3:
      std::exit(3);
    case Act::kCatchAndExit: {
      struct sigaction leave = {};
      leave.sa_handler = leave_at_once;
      sigaction(SIGSEGV, &leave, nullptr);
      touch(inaccessible_page());
      break;
    }
    case Act::kThrow:
      throw std::runtime_error("thrown by tampering");
    case Act::kThrowInt:
      throw 42;
    case Act::kIgnoreAndLoop:
      shut_out_signals();
      while (without_end) {
      }
      break;
    case Act::kLoop:
      while (without_end) {
      }
      break;
    case Act::kSleep:
      while (without_end) pause();
      break;
    case Act::kGrow:
      grow();
      break;
    case Act::kLeak:
      if (state.leaked < kMostSteps && resident_step() != nullptr) ++state.leaked;
      break;
    case Act::kPrint:
      print();
      break;
    case Act::kCloseDescriptors:
      for (int descriptor = 0; descriptor < 1024; ++descriptor) close(descriptor);
      break;
    case Act::kChangeSignals:
      shut_out_signals();
      break;
    default:
      break;
  }
}

// Wrong results of a valid case; the answer is ok.
int32_t spoil(const Args& a, Act act, Target target, int64_t call) {
  const Matrix& m = matrix(a, target);
  const bool here = !empty(m) && !in_place(a, target);
  unsigned char* kept_at = nullptr;
  std::size_t kept_bytes = static_cast<std::size_t>(element_bytes(m));
  switch (act) {
    case Act::kUnwrittenRouted:
      kept_at = last_routed(a, target);
      break;
    case Act::kUnwrittenAppended:
      kept_at = last_appended(a, target);
      break;
    case Act::kUnwrittenHighWord:
      kept_at = m.dtype == TWINCHECK_I64 ? last_appended(a, target) : nullptr;
      kept_bytes = 4;
      if (kept_at != nullptr) kept_at += 4;
      break;
    case Act::kReadBefore:
      if (here) (void)*static_cast<volatile unsigned char*>(element(m, 0, 0) - 1);
      break;
    case Act::kReadAfter:
      if (here) (void)*static_cast<volatile unsigned char*>(end_of(m));
      break;
    default:
      break;
  }
  unsigned char kept[8];
  if (kept_at != nullptr) std::memcpy(kept, kept_at, kept_bytes);
  const int32_t status = right(a);
  if (kept_at != nullptr) std::memcpy(kept_at, kept, kept_bytes);

  const bool output = target == Target::kOutIds || target == Target::kOutWeights;
  unsigned char* routed = output ? last_routed(a, target) : nullptr;
  unsigned char* appended = output ? last_appended(a, target) : nullptr;
  const bool exact_weight = target == Target::kOutWeights && !is_sigmoid(a);
  switch (act) {
    case Act::kGuardBefore:
      if (here) change(element(m, 0, 0) - 1);
      break;
    case Act::kGuardAfter:
      if (here) change(end_of(m));
      break;
    case Act::kGap:
      if (here && m.rows > 1 && m.row_stride > m.cols) change(element(m, 0, m.cols));
      break;
    case Act::kInput:
      if (here) change(end_of(m) - 1);
      break;
    case Act::kWrongRouted:
      if (routed != nullptr && target == Target::kOutIds) change(routed);
      if (routed != nullptr && target == Target::kOutWeights) set_weight(m, routed, weight_at(m, routed) ^ 1);
      break;
    case Act::kWrongAppended:
      if (appended != nullptr && target == Target::kOutIds) change(appended);
      if (appended != nullptr && target == Target::kOutWeights) {
        set_weight(m, appended, weight_at(m, appended) ^ (exact_weight ? 1 : format_of(m).sign >> 1));
      }
      break;
    case Act::kWrongHighWord:
      if (appended != nullptr && m.dtype == TWINCHECK_I64) change(appended + 4);
      break;
    case Act::kNanRouted:
      if (routed != nullptr && !is_nan(m, weight_at(m, routed))) set_weight(m, routed, format_of(m).infinity | 1);
      break;
    case Act::kNanAppended:
      if (appended != nullptr && !is_nan(m, weight_at(m, appended))) set_weight(m, appended, format_of(m).infinity | 1);
      break;
    case Act::kNumberForNan:
      if (appended != nullptr && is_nan(m, weight_at(m, appended))) set_weight(m, appended, format_of(m).one);
      break;
    case Act::kOtherBits:
      if (call % 2 == 0) other_right_bits(a);
      break;
    case Act::kOtherId:
      if (call % 2 == 0 && appended != nullptr) change(appended);
      break;
    default:
      break;
  }
  return status;
}

// Wrong by what went before.
int32_t from_memory(const Args& a, Act act) {
  constexpr std::size_t kMostAnswers = 4096, kMostBytes = std::size_t{1} << 20;
  const int64_t tokens = a.topk_ids.rows, top_k = a.topk_ids.cols, shared = a.num_shared;
  const auto address = [](const Matrix& m) { return empty(m) ? 0 : reinterpret_cast<int64_t>(m.data); };
  const int64_t appended_row = shared * element_bytes(a.out_weights);
  Key key;

  switch (act) {
    case Act::kCachedByPointer:
    case Act::kCachedByShape: {
      key = {tokens, top_k, shared, a.out_ids.dtype, a.out_weights.dtype};
      const Key rest = act == Act::kCachedByPointer
                           ? Key{address(a.topk_ids), address(a.topk_weights), address(a.shared),
                                 address(a.hidden),   address(a.out_ids),      address(a.out_weights)}
                           : Key{a.source, a.hidden.cols, a.shared.dtype, a.hidden.dtype};
      key.insert(key.end(), rest.begin(), rest.end());
      const auto known = state.answers.find(key);
      if (known != state.answers.end()) {
        paste(a.out_ids, 0, a.out_ids.cols, tokens, known->second.ids);
        paste(a.out_weights, 0, a.out_weights.cols, tokens, known->second.weights);
        return answer(TWINCHECK_OK, "");
      }
      const int32_t status = right(a);
      Outputs outputs{copy(a.out_ids, 0, a.out_ids.cols, tokens), copy(a.out_weights, 0, a.out_weights.cols, tokens)};
      if (state.answers.size() == kMostAnswers) state.answers.clear();
      if (outputs.ids.size() <= kMostBytes) state.answers[key] = std::move(outputs);
      return status;
    }
    case Act::kStaleRows: {
      const int32_t status = right(a);
      if (tokens == 0 || shared == 0) return status;
      Bytes& rows = state.columns[{shared, a.out_weights.dtype}];
      Bytes now = copy(a.out_weights, top_k, shared, tokens);
      if (now.size() < rows.size()) {
        std::memcpy(rows.data(), now.data(), now.size() - static_cast<std::size_t>(appended_row));
        paste_row(a.out_weights, top_k, shared, tokens - 1, rows);
      } else {
        rows = std::move(now);
      }
      return status;
    }
    case Act::kOneIn500: {
      const int32_t status = right(a);
      if (state.calls % 500 == 0) one_id_wrong(a);
      return status;
    }
    case Act::kSecondCall: {
      const bool same = state.last_ids == a.topk_ids.data && state.last_out_ids == a.out_ids.data;
      state.in_a_row = same ? state.in_a_row + 1 : 1;
      state.last_ids = a.topk_ids.data;
      state.last_out_ids = a.out_ids.data;
      const int32_t status = right(a);
      if (state.in_a_row == 2) one_id_wrong(a);
      return status;
    }
    case Act::kSharedColumnsCached: {
      key = {address(a.out_weights), top_k, shared, a.out_weights.dtype};
      const int32_t status = right(a);
      if (tokens == 0 || shared == 0) return status;
      Bytes& rows = state.columns[key];
      const int64_t known = static_cast<int64_t>(rows.size()) / appended_row;
      paste(a.out_weights, top_k, shared, known < tokens ? known : tokens, rows);
      if (known < tokens) rows = copy(a.out_weights, top_k, shared, tokens);
      return status;
    }
    case Act::kSharedColumnsWrittenOnce: {
      key = {address(a.out_weights), top_k, shared, a.out_weights.dtype, a.out_weights.row_stride};
      if (tokens == 0 || shared == 0) return right(a);
      // Here the length says how many rows have been written, nothing more.
      Bytes& written = state.columns[key];
      const int64_t before = static_cast<int64_t>(written.size());
      const int64_t left = before < tokens ? before : tokens;
      const Bytes found = copy(a.out_weights, top_k, shared, left);
      const int32_t status = right(a);
      paste(a.out_weights, top_k, shared, left, found);
      if (before < tokens) written.resize(static_cast<std::size_t>(tokens));
      return status;
    }
    default:
      return right(a);
  }
}

bool remembers(Act act) { return act >= Act::kCachedByPointer; }

// One call that misbehaves, a valid case or not.
int32_t tamper(const Args& a, int64_t call) {
  const Act act = behaviour().act;
  const Target target = behaviour().target;
  const independent::Answer table = independent::refusal(a);
  const bool valid = table.status == TWINCHECK_OK;
  const auto write_first_byte = [&] {
    const Matrix& m = matrix(a, target);
    if (m.rows > 0 && m.cols > 0) change_if_there(static_cast<unsigned char*>(m.data));
  };

  misbehave(act);
  switch (act) {
    case Act::kNothing:
      return valid ? answer(TWINCHECK_OK, "") : right(a);
    case Act::kAcceptRefused:
      return valid ? right(a) : answer(TWINCHECK_OK, "");
    case Act::kRefuseValid:
      return valid ? answer(TWINCHECK_BAD_PARAMETER, "refused without a reason") : right(a);
    case Act::kOtherStatus:
      return valid && call % 2 == 0 ? answer(TWINCHECK_BAD_PARAMETER, "refused without a reason") : right(a);
    case Act::kOtherRefusal:
      if (valid) return right(a);
      return answer(table.status == TWINCHECK_OVERLAP ? TWINCHECK_MISALIGNED : TWINCHECK_OVERLAP, "another reason");
    case Act::kUnknownStatus:
      return valid ? answer(99, "a status of no meaning") : right(a);
    case Act::kRuntimeError:
      return valid ? answer(TWINCHECK_RUNTIME_ERROR, "tampering: no such device") : right(a);
    case Act::kRuntimeErrorForRefusal:
      return valid ? right(a) : answer(TWINCHECK_RUNTIME_ERROR, "tampering: no such device");
    case Act::kRefusalWrites:
      if (!valid) write_first_byte();
      return right(a);
    case Act::kUnsupportedWrites:
      if (!valid || empty(matrix(a, target))) return right(a);
      write_first_byte();
      return answer(TWINCHECK_UNSUPPORTED, "not served");
    case Act::kUnsupported:
      return answer(TWINCHECK_UNSUPPORTED, "not served");
    case Act::kUnsupportedGate:
      return a.source == TWINCHECK_GATE ? answer(TWINCHECK_UNSUPPORTED, "source gate is not served") : right(a);
    case Act::kUnsupportedF16:
      return a.out_weights.dtype == TWINCHECK_F16 ? answer(TWINCHECK_UNSUPPORTED, "dtype f16 is not served") : right(a);
    case Act::kUnsupportedStrided: {
      const auto padded = [](const Matrix& m) { return m.rows > 1 && m.row_stride != m.cols; };
      return padded(a.out_ids) || padded(a.out_weights) ? answer(TWINCHECK_UNSUPPORTED, "layout padded is not served")
                                                        : right(a);
    }
    default:
      return valid ? spoil(a, act, target, call) : right(a);
  }
}

}  // namespace

int32_t twincheck_abi(void) { return settings.behaviour < 0 ? 0 : TWINCHECK_ABI; }

const char* twincheck_name(void) {
  settings.name = "tampering." + std::string(settings.behaviour < 0 ? "unknown" : behaviour().name);
  return settings.name.c_str();
}

int32_t twincheck_memory_kind(void) { return TWINCHECK_HOST; }

int32_t twincheck_append(const twincheck_append_args* args) {
  const Act act = behaviour().act;
  if (remembers(act)) {
    const std::lock_guard<std::mutex> lock(guard);
    ++state.calls;
    const bool valid = independent::refusal(*args).status == TWINCHECK_OK;
    return valid ? from_memory(*args, act) : right(*args);
  }
  // A struct that is not whole names no case, so nothing of it can be spoilt.
  if (args->size < sizeof *args || (settings.base_id >= 0 && args->base_id != settings.base_id)) return right(*args);
  int64_t call;
  {
    const std::lock_guard<std::mutex> lock(guard);
    call = ++state.calls;
  }
  return settings.at == 0 || call == settings.at ? tamper(*args, call) : right(*args);
}

const char* twincheck_last_error(void) { return last_reason; }

int32_t twincheck_set(const char* key, int64_t value) {
  const std::string word = key;
  const std::lock_guard<std::mutex> lock(guard);
  if (word == "behaviour" && value >= 0 && value < static_cast<int64_t>(tampering::kBehaviours.size())) {
    settings.behaviour = static_cast<int>(value);
  } else if (word == "at") {
    settings.at = value;
  } else if (word == "base_id") {
    settings.base_id = value;
  } else if (word == "exact_status") {
    settings.exact_status = value;
  } else {
    return 1;
  }
  state = State();
  return 0;
}

int64_t twincheck_get(const char* key) {
  const std::string word = key;
  if (word == "exact_status") return settings.exact_status;
  if (word == "calls") return state.calls;
  return -1;
}
