#include "fuzz/arena.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "harness/case/values.h"

namespace twincheck::fuzz {
namespace {

__extension__ using Wide = __int128;

constexpr std::size_t kGap = 32;  // between one matrix and the next

// Where matrices begin that the arena does not hold: addresses of a process, between AddressSanitizer's shadow and its heap.
constexpr std::uintptr_t kFar = std::uintptr_t{0x14} << 40, kFarStep = std::uintptr_t{0x08} << 40;

// Of sizes that may be negative.
bool holds_nothing(const Matrix& m) { return m.rows <= 0 || m.cols <= 0; }

// From the first byte to behind the last one; at most 7 * 2^127 / 8 whatever the fields are.
Wide extent(const Matrix& m) {
  if (holds_nothing(m)) return 0;
  const Wide elements = (m.rows > 1 ? static_cast<Wide>(m.rows - 1) * m.row_stride : 0) + m.cols;
  return elements < 0 || elements > (Wide{1} << 100) ? Wide{1} << 100
                                                     : elements * std::max<int64_t>(2, dtype_bytes(m.dtype));
}

// The pattern of memory that no field describes. Its period is prime, so that a shifted copy shows.
const std::array<std::byte, 8192>& pattern() {
  static const auto it = [] {
    std::array<std::byte, 8192> p;
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = static_cast<std::byte>(i % 251 * 37 + 11);
    return p;
  }();
  return it;
}

template <typename T>
T load(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

}  // namespace

const AppendArgs& Arena::lay_out(const Case& c) {
  case_ = &c;
  painted_ = computes_ = false;
  args_ = {};
  args_.size = c.args_size.value_or(static_cast<uint32_t>(sizeof args_));
  args_.source = c.source;
  args_.num_shared = c.shared;
  args_.base_id = c.base_id;
  args_.remap_local_routed = c.remap;
  std::memcpy(&args_.scale, &c.scale_bits, sizeof args_.scale);

  std::size_t cursor = 256;
  constexpr std::size_t kMost = kBytes - 512;
  std::array<std::uintptr_t, kOperands> own{};
  for (std::size_t n = 0; n < kOperands; ++n) {
    const std::size_t i = (n + kInputs) % kOperands;  // outputs first: an input in place has their pointer
    Matrix& m = args_.*kMatrices[i] = matrix_of(c, static_cast<Operand>(i));
    if (is_in_place(c, static_cast<Operand>(i))) {
      own[i] = own[i + kInputs];
      continue;
    }
    if (m.rows == 0 && m.cols == 0 && m.dtype == 0) continue;
    const auto element = static_cast<std::size_t>(std::max<int64_t>(1, dtype_bytes(m.dtype)));
    const std::size_t offset = c.layout[i].offset % 16 * element;
    const std::size_t at = (cursor + 15) / 16 * 16 + offset;
    const Wide needs = extent(m);
    if (at > kMost || needs > static_cast<Wide>(kMost - at)) {
      own[i] = kFar + i * kFarStep + offset;
      continue;
    }
    own[i] = reinterpret_cast<std::uintptr_t>(bytes_.data()) + at;
    cursor = at + static_cast<std::size_t>(needs) + kGap;
  }
  used_ = std::min(kBytes, cursor + 512);  // what a wrong wrapper may reach behind the last matrix
  for (std::size_t i = 0; i < kOperands; ++i) {
    const Layout& l = c.layout[i];
    const auto target = l.pointer == Pointer::kInto ? static_cast<std::size_t>(l.pointer_operand) : i;
    std::uintptr_t address = own[target];
    if (l.pointer == Pointer::kNull) address = 0;
    if (l.pointer == Pointer::kSkewed || l.pointer == Pointer::kInto)
      address += static_cast<std::uintptr_t>(l.pointer_bytes);
    (args_.*kMatrices[i]).data = reinterpret_cast<void*>(address);
  }
  return args_;
}

bool Arena::holds() const {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes_.data());
  for (std::size_t i = 0; i < kOperands; ++i) {
    const Matrix& m = args_.*kMatrices[i];
    if (holds_nothing(m) || !is_used(*case_, static_cast<Operand>(i))) continue;
    const auto at = reinterpret_cast<std::uintptr_t>(m.data);
    if (at < begin || at - begin > used_ || extent(m) > static_cast<Wide>(used_ - (at - begin))) return false;
  }
  return true;
}

bool Arena::is_addressable() const {
  for (std::size_t i = 0; i < kOperands; ++i)
    if (is_used(*case_, static_cast<Operand>(i)) && extent(args_.*kMatrices[i]) > Wide{1} << 47) return false;
  return true;
}

void Arena::paint(bool computes) {
  painted_ = true;
  std::memcpy(bytes_.data(), pattern().data(), used_);
  static std::vector<std::byte> dense;
  for (std::size_t i = 0; i < kInputs && computes; ++i) {
    const auto o = static_cast<Operand>(i);
    const Matrix& m = args_.*kMatrices[i];
    if (holds_nothing(m) || !is_used(*case_, o) || case_->layout[i].pointer != Pointer::kOwn) continue;
    const Matrix implied = implied_matrix_of(*case_, o);
    if (implied.cols != m.cols || implied.dtype != m.dtype) continue;
    const auto row = static_cast<std::size_t>(m.cols * dtype_bytes(m.dtype));
    dense.resize(static_cast<std::size_t>(m.rows) * row);
    fill(*case_, o, 0, m.rows, dense.data());
    const auto stride = static_cast<std::size_t>((m.rows > 1 ? m.row_stride : 0) * dtype_bytes(m.dtype));
    for (std::size_t r = 0; r < static_cast<std::size_t>(m.rows); ++r)
      std::memcpy(static_cast<std::byte*>(m.data) + r * stride, dense.data() + r * row, row);
  }
  std::memcpy(before_.data(), bytes_.data(), used_);
  // Empty outputs have no end of rows that could be asked about.
  computes_ = computes && !holds_nothing(args_.out_ids);
  if (computes_) reference::append(args_, 0, args_.out_ids.rows, expected_);
}

std::string Arena::wrong_output() const {
  const Matrix &ids = args_.out_ids, &weights = args_.out_weights;
  const int64_t columns = expected_.columns;
  for (int64_t r = 0; r < ids.rows; ++r) {
    const auto* id = static_cast<const std::byte*>(ids.data) + (r > 0 ? r * ids.row_stride : 0) * dtype_bytes(ids.dtype);
    const auto* weight =
        static_cast<const std::byte*>(weights.data) + (r > 0 ? r * weights.row_stride : 0) * dtype_bytes(weights.dtype);
    for (int64_t s = 0; s < columns; ++s) {
      const auto i = static_cast<std::size_t>(r * columns + s);
      const int64_t got = ids.dtype == TWINCHECK_I64 ? load<int64_t>(id + s * 8) : load<int32_t>(id + s * 4);
      if (!expected_.ids[i].any && got != expected_.ids[i].value)
        return fmt::format("out_ids[token={}][slot={}]: expected {}, got {}", r, s, expected_.ids[i].value, got);
      const uint32_t bits = weights.dtype == TWINCHECK_F32 ? load<uint32_t>(weight + s * 4) : load<uint16_t>(weight + s * 2);
      const reference::Weight& e = expected_.weights[i];
      if (!reference::accepts(e, static_cast<Dtype>(weights.dtype), bits))
        return fmt::format("out_weights[token={}][slot={}]: expected {:#x} to {:#x}, got {:#x}", r, s, e.lo, e.hi, bits);
    }
  }
  return {};
}

void Arena::forget_outputs() {
  for (const Matrix* m : {&args_.out_ids, &args_.out_weights})
    for (int64_t r = 0; r < m->rows; ++r) {
      auto* row = static_cast<std::byte*>(m->data) + (r > 0 ? r * m->row_stride : 0) * dtype_bytes(m->dtype);
      std::memcpy(row, before_.data() + (row - bytes_.data()), static_cast<std::size_t>(m->cols * dtype_bytes(m->dtype)));
    }
}

std::string Arena::wrong() {
  if (!painted_) return {};
  if (computes_) {
    if (std::string wrong = wrong_output(); !wrong.empty()) return wrong;
    forget_outputs();
  }
  if (std::memcmp(bytes_.data(), before_.data(), used_) == 0) return {};
  const auto at = std::mismatch(bytes_.begin(), bytes_.end(), before_.begin()).first - bytes_.begin();
  std::string nearest = "the arena";
  std::ptrdiff_t least = static_cast<std::ptrdiff_t>(kBytes);
  for (std::size_t i = 0; i < kOperands; ++i) {
    const std::ptrdiff_t distance = bytes_.data() + at - static_cast<const std::byte*>((args_.*kMatrices[i]).data);
    if (distance < 0 || distance >= least) continue;
    least = distance;
    nearest = fmt::format("{}'s first byte plus {}", kOperandNames[i], distance);
  }
  return fmt::format("the byte at {} changed", nearest);
}

}  // namespace twincheck::fuzz
