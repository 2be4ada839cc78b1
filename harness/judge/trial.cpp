#include "harness/judge/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/case/values.h"

#if defined(__SANITIZE_ADDRESS__)
#define TWINCHECK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TWINCHECK_ASAN 1
#endif
#endif
#ifdef TWINCHECK_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace twincheck {
namespace {

constexpr std::size_t kMaxMismatches = 10;
// What outputs hold before a run, what their guards and gaps do, and those of the inputs. The two runs' are complements: a
// byte of an output that is the same after both was written. All three differ, so that a candidate that copies one over
// another did write.
constexpr unsigned char kPoison[kRuns] = {0xa5, 0x5a};
constexpr unsigned char kOutputPaint[kRuns] = {0xc9, 0x36};
constexpr unsigned char kInputPaint[kRuns] = {0x93, 0x6c};

unsigned char paint_of(bool is_output, int run) { return is_output ? kOutputPaint[run] : kInputPaint[run]; }

enum class Fill { kGuard, kGap };

std::size_t element_bytes(int32_t dtype) {
  switch (static_cast<Dtype>(dtype)) {
    case Dtype::kI64:
      return 8;
    case Dtype::kI32:
    case Dtype::kF32:
      return 4;
    case Dtype::kBf16:
    case Dtype::kF16:
      return 2;
    default:
      return 0;
  }
}

bool is_output(Operand o) { return o == Operand::kOutIds || o == Operand::kOutWeights; }

// Where the first of n bytes that is not `value` is; n where there is none.
std::size_t first_other(const std::byte* p, std::size_t n, unsigned char value) {
  if (n == 0 || (p[0] == std::byte{value} && std::memcmp(p, p + 1, n - 1) == 0)) return n;
  return static_cast<std::size_t>(std::find_if(p, p + n, [&](std::byte b) { return b != std::byte{value}; }) - p);
}

double number_of(uint32_t bits, Dtype dtype) {
  if (dtype != Dtype::kF16) {
    const uint32_t wide = dtype == Dtype::kBf16 ? bits << 16 : bits;
    float f;
    std::memcpy(&f, &wide, sizeof f);
    return f;
  }
  const int exponent = static_cast<int>(bits >> 10 & 0x1f), mantissa = static_cast<int>(bits & 0x3ff);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 0x1f) return mantissa == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024, exponent - 25));
}

std::string show(uint32_t bits, Dtype dtype) {
  const double v = number_of(bits, dtype);
  return fmt::format("{:#0{}x} ({})", bits, dtype == Dtype::kF32 ? 10 : 6,
                     dtype == Dtype::kF32 ? fmt::format("{}", static_cast<float>(v)) : fmt::format("{:.9g}", v));
}

std::string show(const reference::Weight& w, Dtype dtype) {
  using Kind = reference::Weight::Kind;
  switch (w.kind) {
    case Kind::kBits:
      return show(w.lo, dtype);
    case Kind::kNan:
      return "NaN";
    default:
      break;
  }
  const std::string range = w.lo == w.hi ? show(w.lo, dtype) : fmt::format("{} to {}", show(w.lo, dtype), show(w.hi, dtype));
  return w.kind == Kind::kRangeOrNan ? range + " or NaN" : range;
}

template <typename T>
T load(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint32_t load_weight(const std::byte* p, Dtype dtype) {
  return dtype == Dtype::kF32 ? load<uint32_t>(p) : load<uint16_t>(p);
}

}  // namespace

// Whether the input lies in its output's left columns: by the case's in_place, or by a pointer there.
bool Trial::in_place(Operand input) const {
  const bool ids = input == Operand::kTopkIds;
  if (!ids && input != Operand::kTopkWeights) return false;
  const Layout& l = case_->of(input);
  const Operand output = ids ? Operand::kOutIds : Operand::kOutWeights;
  if (l.pointer == Pointer::kInto) return l.pointer_operand == output && l.pointer_bytes == 0;
  const auto wanted = static_cast<unsigned>(ids ? InPlace::kIds : InPlace::kWeights);
  return (static_cast<unsigned>(case_->in_place) & wanted) != 0;
}

// False where the matrix that the candidate is told of has no extent that could be memory.
bool Trial::shape_of(Operand o, BufferShape& shape) const {
  const Matrix& m = part(o).told;
  const std::size_t element = part(o).element;
  if (m.rows < 0 || m.cols < 0 || element == 0) return false;
  const Layout& l = case_->of(o);
  shape = {};
  shape.place = l.place;
  shape.offset = l.offset * element;
  if (m.rows == 0 || m.cols == 0) return true;
  if (m.rows > 1 && m.row_stride < m.cols) return false;
  const __int128 limit = std::numeric_limits<int64_t>::max() / 4;
  const __int128 stride = m.rows > 1 ? static_cast<__int128>(m.row_stride) * static_cast<int>(element) : 0;
  const __int128 row = static_cast<__int128>(m.cols) * static_cast<int>(element);
  if (stride > limit || row > limit || stride * (m.rows - 1) + row > limit) return false;
  shape.rows = m.rows;
  shape.row = static_cast<uint64_t>(row);
  shape.stride = m.rows > 1 ? static_cast<uint64_t>(stride) : shape.row;
  return true;
}

Trial::Ready Trial::lay_out(const Case& c, uint64_t max_bytes) {
  case_ = &c;
  uint64_t bytes = 0;
  bool clipped = false;

  std::array<BufferShape, kOperands> shapes;
  std::array<bool, kOperands> implied_rows{};
  for (int i = 0; i < kOperands; ++i) {
    const auto o = static_cast<Operand>(i);
    Part& p = part(o);
    p.told = matrix_of(c, o);
    p.is_output = is_output(o);
    p.has_buffer = false;
    p.dense.clear();
    p.dense_row = 0;
    p.element = element_bytes(p.told.dtype);
    const Matrix implied = implied_matrix_of(c, o);
    if (p.element == 0) p.element = std::max<std::size_t>(element_bytes(implied.dtype), 2);
    BufferShape& shape = shapes[static_cast<std::size_t>(i)];
    if (!shape_of(o, shape) || Memory::resident(shape) > max_bytes) {
      // A struct that no memory can back: it has to be refused, or is too large. The pointer still points into real memory.
      clipped = true;
      shape = {};
      shape.rows = 1;
      shape.row = shape.stride = 64;
    }
    implied_rows[static_cast<std::size_t>(i)] =
        implied.rows == shape.rows && static_cast<uint64_t>(implied.cols) * element_bytes(implied.dtype) == shape.row;
  }
  for (int i = 0; i < kOperands;
       ++i) {  // an input that lies in another operand's buffer needs that buffer to reach far enough
    const Layout& l = c.layout[static_cast<std::size_t>(i)];
    const BufferShape& s = shapes[static_cast<std::size_t>(i)];
    if (l.pointer == Pointer::kOwn || l.pointer == Pointer::kNull) continue;
    const auto target =
        l.pointer == Pointer::kInto ? static_cast<std::size_t>(l.pointer_operand) : static_cast<std::size_t>(i);
    BufferShape& t = shapes[target];
    if (l.pointer_bytes < 0) {
      if (l.pointer_bytes >= -static_cast<int64_t>(kGuardBefore)) t.head = kGuardBefore;
      continue;
    }
    const uint64_t reach = static_cast<uint64_t>(l.pointer_bytes) + s.extent();
    if (reach > t.extent() && reach - t.extent() < (uint64_t{1} << 20))
      t.tail = std::max<uint64_t>(t.tail, (reach - t.extent() + 15) / 16 * 16);
  }
  for (int i = 0; i < kOperands; ++i) {
    const auto o = static_cast<Operand>(i);
    Part& p = part(o);
    const BufferShape& shape = shapes[static_cast<std::size_t>(i)];
    const bool used = p.told.rows != 0 || p.told.cols != 0 || c.of(o).pointer != Pointer::kOwn;
    const Matrix implied = implied_matrix_of(c, o);
    const bool unused_by_source = !used && implied.rows == 0 && implied.cols == 0 && implied.dtype == 0;
    p.has_buffer = !unused_by_source && !in_place(o) && c.of(o).pointer != Pointer::kInto;
    if (p.has_buffer) {
      bytes += Memory::resident(shape);
      if (bytes > max_bytes) return Ready::kTooLarge;
      if (!memory_.place(static_cast<std::size_t>(i), shape, p.buffer)) return Ready::kTooLarge;
    } else {
      p.buffer.shape = shape;
    }
    if (p.is_output || (!p.has_buffer && !in_place(o)) || shape.rows == 0) continue;
    const uint64_t dense_bytes = static_cast<uint64_t>(shape.rows) * shape.row;
    bytes += dense_bytes;
    if (bytes > max_bytes) return Ready::kTooLarge;
    p.dense_row = shape.row;
    p.as_implied = implied_rows[static_cast<std::size_t>(i)];
  }
  large_ = bytes > (uint64_t{8} << 20);
  set_pointers();

  args_ = {};
  args_.size = c.args_size.value_or(static_cast<uint32_t>(sizeof args_));
  args_.source = c.source;
  for (std::size_t i = 0; i < kOperands; ++i) args_.*kMatrices[i] = parts_[i].told;
  args_.num_shared = c.shared;
  args_.base_id = c.base_id;
  args_.remap_local_routed = c.remap;
  std::memcpy(&args_.scale, &c.scale_bits, sizeof args_.scale);
  args_bytes_ = std::clamp<std::size_t>(args_.size, 8, sizeof args_);

  expected_status_ = reference::refusal(args_);
  rows_ = columns_ = 0;
  // Where a matrix did not get the memory that it claims, its claim may reach into another's.
  if (clipped && expected_status_ == Status::kOverlap) return Ready::kTooLarge;
  if (expected_status_ != Status::kOk) return Ready::kInvalid;
  if (clipped) return Ready::kTooLarge;
  rows_ = args_.out_ids.rows;
  columns_ = args_.out_ids.cols;
  // Every used matrix must lie in memory that is here (a pointer into another operand's buffer may lead out of it).
  for (int i = 0; i < kInputs; ++i) {
    const Part& p = parts_[static_cast<std::size_t>(i)];
    const Layout& l = c.layout[static_cast<std::size_t>(i)];
    const BufferShape& s = p.buffer.shape;
    if (s.rows == 0 || l.pointer == Pointer::kOwn || l.pointer == Pointer::kNull) continue;
    const auto* begin = static_cast<const std::byte*>(p.told.data);
    bool inside = false;
    for (const Part& q : parts_)
      if (q.has_buffer)
        for (const Segment& seg : q.buffer.segments)
          inside |= begin >= seg.data && begin + s.extent() <= seg.data + seg.bytes;
    if (!inside) return Ready::kTooLarge;
  }
  return Ready::kValid;
}

const AppendArgs* Trial::arguments(void* stream) {
  told_ = args_;
  told_.stream = stream;
  twincheck_matrix* const matrices[kOperands] = {&told_.topk_ids, &told_.topk_weights, &told_.shared,     &told_.hidden,
                                                 &told_.gate,     &told_.out_ids,      &told_.out_weights};
  for (std::size_t i = 0; i < kOperands; ++i) matrices[i]->data = parts_[i].device_data;
  args_in_place_ = memory_.place_arguments(&told_, args_bytes_);
  return static_cast<const AppendArgs*>(args_in_place_);
}

void Trial::set_pointers() {
  const auto index = [](Operand o) { return static_cast<std::size_t>(o); };
  std::array<uintptr_t, kOperands> own{}, to_device{};
  for (std::size_t i = 0; i < kOperands; ++i) {
    const auto o = static_cast<Operand>(i);
    const std::size_t home = !in_place(o) ? i : index(o == Operand::kTopkIds ? Operand::kOutIds : Operand::kOutWeights);
    if (!parts_[home].has_buffer) continue;
    own[i] = reinterpret_cast<uintptr_t>(parts_[home].buffer.data);
    to_device[i] = parts_[home].buffer.to_device;
  }
  for (std::size_t i = 0; i < kOperands; ++i) {
    const Layout& l = case_->layout[i];
    uintptr_t p = own[i], delta = to_device[i];
    if (l.pointer == Pointer::kNull) p = delta = 0;
    if (l.pointer == Pointer::kSkewed) p += static_cast<uintptr_t>(l.pointer_bytes);
    if (l.pointer == Pointer::kInto) {
      p = own[index(l.pointer_operand)] + static_cast<uintptr_t>(l.pointer_bytes);
      delta = to_device[index(l.pointer_operand)];
    }
    parts_[i].told.data = reinterpret_cast<void*>(p);
    parts_[i].device_data = reinterpret_cast<void*>(p + delta);
  }
}

void Trial::fill_inputs() {
  for (std::size_t i = 0; i < kInputs; ++i) {
    Part& p = parts_[i];
    if (p.dense_row == 0) continue;
    p.dense.resize(static_cast<uint64_t>(p.buffer.shape.rows) * p.dense_row);
    if (p.as_implied) {
      fill(*case_, static_cast<Operand>(i), 0, p.buffer.shape.rows, p.dense.data());
    } else {  // a struct of other dimensions than the sizes imply has no data of its own: any bytes do
      for (std::size_t k = 0; k < p.dense.size(); ++k) p.dense[k] = static_cast<std::byte>(k * 37 + 11);
    }
  }
}

// Calls on_fill(bytes, count, Fill) for every stretch that is guard or gap and on_rows(first, count, bytes) for every
// stretch of rows, in address order, until one answers false.
template <typename OnRows, typename OnFill>
bool Trial::walk(const Part& p, OnRows on_rows, OnFill on_fill) const {
  const Buffer& b = p.buffer;
  const BufferShape& s = b.shape;
  if (b.segments.size() > 1) {  // sparse: a segment a row
    for (std::size_t r = 0; r < b.segments.size(); ++r) {
      const Segment& seg = b.segments[r];
      std::byte* row = b.data + r * s.stride;
      if (!on_fill(seg.data, static_cast<std::size_t>(row - seg.data), r == 0 ? Fill::kGuard : Fill::kGap)) return false;
      if (!on_rows(static_cast<int64_t>(r), int64_t{1}, row)) return false;
      const Fill after = r + 1 == b.segments.size() ? Fill::kGuard : Fill::kGap;
      if (!on_fill(row + s.row, static_cast<std::size_t>(seg.data + seg.bytes - row) - s.row, after)) return false;
    }
    return true;
  }
  const Segment& seg = b.segments.front();
  std::byte* cursor = seg.data;
  if (!on_fill(cursor, static_cast<std::size_t>(b.data - cursor), Fill::kGuard)) return false;
  cursor = b.data;
  if (s.rows > 0 && (s.stride == s.row || s.rows == 1)) {
    if (!on_rows(int64_t{0}, s.rows, cursor)) return false;
    cursor += static_cast<uint64_t>(s.rows) * s.row;
  } else {
    for (int64_t r = 0; r < s.rows; ++r) {
      if (r > 0) {
        if (!on_fill(cursor, s.stride - s.row, Fill::kGap)) return false;
        cursor += s.stride - s.row;
      }
      if (!on_rows(r, int64_t{1}, cursor)) return false;
      cursor += s.row;
    }
  }
  return on_fill(cursor, static_cast<std::size_t>(seg.data + seg.bytes - cursor), Fill::kGuard);
}

void Trial::paint(int run) {
  if (run == 0) fill_inputs();
  for (Part& p : parts_) {
    if (!p.has_buffer) continue;
    for (const Segment& seg : p.buffer.segments) {
#ifdef TWINCHECK_ASAN
      ASAN_UNPOISON_MEMORY_REGION(seg.data, seg.bytes);
#endif
      std::memset(seg.data, paint_of(p.is_output, run), seg.bytes);
    }
    if (p.is_output)
      (void)walk(
          p,
          [&](int64_t, int64_t count, std::byte* rows) {
            std::memset(rows, kPoison[run], static_cast<uint64_t>(count) * p.buffer.shape.row);
            return true;
          },
          [](std::byte*, std::size_t, Fill) { return true; });
  }
  for (int i = 0; i < kInputs; ++i) {
    const Part& p = parts_[static_cast<std::size_t>(i)];
    if (p.dense.empty()) continue;
    const auto o = static_cast<Operand>(i);
    if (!in_place(o)) {
      (void)walk(
          p,
          [&](int64_t first, int64_t count, std::byte* rows) {
            std::memcpy(rows, p.dense.data() + static_cast<uint64_t>(first) * p.dense_row,
                        static_cast<uint64_t>(count) * p.dense_row);
            return true;
          },
          [](std::byte*, std::size_t, Fill) { return true; });
      continue;
    }
    const Part& out = part(o == Operand::kTopkIds ? Operand::kOutIds : Operand::kOutWeights);
    const BufferShape& s = out.buffer.shape;
    if (!out.has_buffer || s.rows < p.buffer.shape.rows || s.row < p.dense_row) continue;
    for (int64_t r = 0; r < p.buffer.shape.rows; ++r)
      std::memcpy(out.buffer.data + static_cast<uint64_t>(r) * s.stride,
                  p.dense.data() + static_cast<uint64_t>(r) * p.dense_row, p.dense_row);
  }
#ifdef TWINCHECK_ASAN
  for (const Part& p : parts_)
    if (p.has_buffer)
      (void)walk(
          p, [](int64_t, int64_t, std::byte*) { return true; },
          [&](std::byte* bytes, std::size_t n, Fill kind) {
            const bool behind = bytes >= p.buffer.data;
            const std::size_t keep = kind == Fill::kGuard && behind ? std::min<std::size_t>(p.buffer.shape.tail, n) : 0;
            if (kind == Fill::kGuard) ASAN_POISON_MEMORY_REGION(bytes + keep, n - keep);
            return true;
          });
  // An input of a valid case may lie in another operand's guard.
  if (expected_status_ == Status::kOk)
    for (std::size_t i = 0; i < kInputs; ++i)
      if (const Part& p = parts_[i]; p.buffer.shape.rows > 0 && case_->layout[i].pointer != Pointer::kOwn)
        ASAN_UNPOISON_MEMORY_REGION(p.told.data, p.buffer.shape.extent());
#endif
}

void Trial::expect() { reference::append(args_, 0, rows_, expected_); }

bool Trial::untouched(int run, bool outputs_too, Report& report) {
#ifdef TWINCHECK_ASAN
  for (const Part& p : parts_)
    if (p.has_buffer)
      for (const Segment& seg : p.buffer.segments) ASAN_UNPOISON_MEMORY_REGION(seg.data, seg.bytes);
#endif
  const auto blame = [&](const char* law, std::string detail) {
    if (report.law.empty()) {
      report.law = law;
      report.detail = std::move(detail);
    }
    return false;
  };
  bool clean = true;
  if (std::memcmp(args_in_place_, &told_, args_bytes_) != 0)
    clean = blame(promise::kInputs, "the argument struct was changed");
  for (int i = 0; i < kOperands; ++i) {
    const Part& p = parts_[static_cast<std::size_t>(i)];
    const std::string_view name = kOperandNames[static_cast<std::size_t>(i)];
    if (!p.has_buffer) continue;
    const Part* inlay = nullptr;  // the input that lives in this output's left columns
    if (p.is_output) {
      const Operand input = static_cast<Operand>(i) == Operand::kOutIds ? Operand::kTopkIds : Operand::kTopkWeights;
      if (in_place(input) && !part(input).dense.empty() && p.buffer.shape.rows >= part(input).buffer.shape.rows &&
          p.buffer.shape.row >= part(input).dense_row)
        inlay = &part(input);
    }
    clean &= walk(
        p,
        [&](int64_t first, int64_t count, const std::byte* rows) {
          const std::size_t row = p.buffer.shape.row;
          if (!p.is_output) {
            if (p.dense.empty())
              return first_other(rows, static_cast<uint64_t>(count) * row, paint_of(p.is_output, run)) ==
                         static_cast<uint64_t>(count) * row ||
                     blame(promise::kInputs, fmt::format("{}: an element changed", name));
            const std::byte* was = p.dense.data() + static_cast<uint64_t>(first) * p.dense_row;
            const std::size_t n = static_cast<uint64_t>(count) * p.dense_row;
            if (std::memcmp(rows, was, n) == 0) return true;
            report.inputs_unchanged = false;
            const auto at = static_cast<std::size_t>(std::mismatch(rows, rows + n, was).first - rows);
            return blame(promise::kInputs,
                         fmt::format("{}[token={}][column={}] changed: byte {} from {:#04x} to {:#04x}", name,
                                     first + static_cast<int64_t>(at / p.dense_row), at % p.dense_row / p.element,
                                     at % p.element, static_cast<unsigned>(was[at]), static_cast<unsigned>(rows[at])));
          }
          if (!outputs_too) return true;
          for (int64_t r = 0; r < count; ++r) {
            const std::byte* at = rows + static_cast<uint64_t>(r) * row;
            std::size_t kept = 0;
            if (inlay != nullptr && first + r < inlay->buffer.shape.rows) {
              kept = inlay->dense_row;
              if (std::memcmp(at, inlay->dense.data() + static_cast<uint64_t>(first + r) * kept, kept) != 0)
                return blame(promise::kInputs, fmt::format("{}[token={}]: a routed element was changed", name, first + r));
            }
            const std::size_t changed = first_other(at + kept, row - kept, kPoison[run]);
            if (changed != row - kept)
              return blame(promise::kRefusalTouches,
                           fmt::format("{}[token={}][slot={}] was written", name, first + r, (kept + changed) / p.element));
          }
          return true;
        },
        [&](const std::byte* bytes, std::size_t n, Fill kind) {
          const std::size_t at = first_other(bytes, n, paint_of(p.is_output, run));
          if (at == n) return true;
          report.guards_intact = false;
          const std::byte* where = bytes + at;
          const auto got = static_cast<unsigned>(*where);
          if (kind == Fill::kGap) {
            const auto row = static_cast<uint64_t>(where - p.buffer.data) / p.buffer.shape.stride;
            return blame(
                promise::kGaps,
                fmt::format("{}: byte {} of the gap behind row {} changed from {:#04x} to {:#04x}", name,
                            static_cast<uint64_t>(where - p.buffer.data) - row * p.buffer.shape.stride - p.buffer.shape.row,
                            row, paint_of(p.is_output, run), got));
          }
          const bool before = where < p.buffer.data;
          const auto distance =
              before ? p.buffer.data - where : where - p.buffer.data - static_cast<int64_t>(p.buffer.shape.extent());
          return blame(promise::kGuards, fmt::format("{}: the byte {} {} changed from {:#04x} to {:#04x}", name, distance,
                                                     before ? "before the first row" : "past the last row's end",
                                                     paint_of(p.is_output, run), got));
        });
  }
  return clean;
}

const std::byte* Trial::output_row(Operand o, int64_t row) const {
  const Buffer& b = part(o).buffer;
  return b.data + static_cast<uint64_t>(row) * b.shape.stride;
}

void Trial::keep_first() {
  for (const auto& [o, kept] :
       {std::pair{Operand::kOutIds, &first_ids_}, std::pair{Operand::kOutWeights, &first_weights_}}) {
    const std::size_t row = part(o).buffer.shape.row;
    kept->resize(static_cast<uint64_t>(rows_) * row * (columns_ > 0));
    if (kept->empty()) continue;
    for (int64_t r = 0; r < rows_; ++r) std::memcpy(kept->data() + static_cast<uint64_t>(r) * row, output_row(o, r), row);
  }
}

Trial::Repetition Trial::compare_with_first(Report& report) {
  Repetition result;
  for (const auto& [o, kept] :
       {std::pair{Operand::kOutIds, &first_ids_}, std::pair{Operand::kOutWeights, &first_weights_}}) {
    if (kept->empty()) continue;
    const std::size_t row = part(o).buffer.shape.row, element = part(o).element;
    const std::string_view name = kOperandNames[static_cast<std::size_t>(o)];
    for (int64_t r = 0; r < rows_; ++r) {
      const std::byte *now = output_row(o, r), *before = kept->data() + static_cast<uint64_t>(r) * row;
      if (std::memcmp(now, before, row) == 0) continue;
      for (std::size_t i = 0; i < row; ++i) {
        if (now[i] == before[i]) continue;
        const int64_t slot = static_cast<int64_t>(i / element);
        if (o == Operand::kOutIds && expected_.ids[static_cast<std::size_t>(r * columns_ + slot)].any) continue;
        const bool follows = now[i] == std::byte{kPoison[1]} && before[i] == std::byte{kPoison[0]};
        if (follows) {
          report.all_written = false;
          if (result.all_written && result.same)
            report.detail = fmt::format("{}[token={}][slot={}{}] was not written", name, r, slot,
                                        slot >= case_->top_k ? fmt::format(", shared {}", slot - case_->top_k) : "");
          result.all_written = false;
        } else {
          if (result.same && result.all_written)
            report.detail = fmt::format("{}[token={}][slot={}] differs from one run to the next", name, r, slot);
          result.same = false;
        }
      }
    }
  }
  return result;
}

bool Trial::compare(Report& report) {
  const int64_t k = case_->top_k;
  const char* law = nullptr;
  report.ids_compared = report.weights_compared = rows_ * columns_;
  const auto ids_dtype = static_cast<Dtype>(part(Operand::kOutIds).told.dtype);
  const auto weights_dtype = static_cast<Dtype>(part(Operand::kOutWeights).told.dtype);
  const auto record = [&](bool is_weight, int64_t row, int64_t slot, std::string expected, std::string got) {
    if (law == nullptr)
      law = is_weight ? (slot < k ? promise::kRoutedWeights : promise::kAppendedWeights)
                      : (slot < k ? promise::kRoutedIds : promise::kAppendedIds);
    if (report.mismatches.size() < kMaxMismatches)
      report.mismatches.push_back({is_weight, row, slot, slot < k ? -1 : slot - k, std::move(expected), std::move(got)});
  };
  for (int64_t r = 0; columns_ > 0 && r < rows_; ++r) {
    const std::byte* p = output_row(Operand::kOutIds, r);
    const reference::Id* e = expected_.ids.data() + r * columns_;
    for (int64_t s = 0; s < columns_; ++s) {
      const int64_t got = ids_dtype == Dtype::kI64 ? load<int64_t>(p + s * 8) : load<int32_t>(p + s * 4);
      if (got == e[s].value) [[likely]]
        continue;
      if (e[s].any) {
        --report.ids_compared;
        continue;
      }
      ++report.ids_wrong;
      if (report.ids_wrong <= static_cast<int64_t>(kMaxMismatches))
        record(false, r, s, fmt::format("{}", e[s].value), fmt::format("{}", got));
    }
  }
  for (int64_t r = 0; columns_ > 0 && r < rows_; ++r) {
    const std::byte* p = output_row(Operand::kOutWeights, r);
    const reference::Weight* e = expected_.weights.data() + r * columns_;
    const std::size_t element = part(Operand::kOutWeights).element;
    for (int64_t s = 0; s < columns_; ++s) {
      const uint32_t got = load_weight(p + static_cast<std::size_t>(s) * element, weights_dtype);
      if (e[s].kind == reference::Weight::Kind::kBits ? got == e[s].lo : reference::accepts(e[s], weights_dtype, got))
          [[likely]]
        continue;
      ++report.weights_wrong;
      if (report.weights_wrong <= static_cast<int64_t>(kMaxMismatches))
        record(true, r, s, show(e[s], weights_dtype), show(got, weights_dtype));
    }
  }
  if (law == nullptr) return true;
  if (report.law.empty()) report.law = law;
  return false;
}

void Trial::outputs(Outputs& out) const {
  out.rows = rows_;
  out.columns = columns_;
  out.ids.resize(static_cast<std::size_t>(rows_ * columns_));
  out.weights.resize(out.ids.size());
  const bool wide = static_cast<Dtype>(part(Operand::kOutIds).told.dtype) == Dtype::kI64;
  const auto weights_dtype = static_cast<Dtype>(part(Operand::kOutWeights).told.dtype);
  const std::size_t element = part(Operand::kOutWeights).element;
  for (int64_t r = 0; columns_ > 0 && r < rows_; ++r)
    for (int64_t s = 0; s < columns_; ++s) {
      const auto i = static_cast<std::size_t>(r * columns_ + s);
      const std::byte* id = output_row(Operand::kOutIds, r) + s * (wide ? 8 : 4);
      out.ids[i] = wide ? load<int64_t>(id) : load<int32_t>(id);
      out.weights[i] =
          load_weight(output_row(Operand::kOutWeights, r) + static_cast<std::size_t>(s) * element, weights_dtype);
    }
}

void Trial::finish() {
  if (!large_) return;
  memory_.trim();
  for (Part& p : parts_) {
    p.dense = {};
    p.has_buffer = false;
  }
  first_ids_ = {};
  first_weights_ = {};
  expected_ = {};
  large_ = false;
}

}  // namespace twincheck
