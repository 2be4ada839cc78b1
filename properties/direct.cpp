#include "properties/direct.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "harness/case/values.h"

namespace twincheck::relate {
namespace {

constexpr std::size_t kGuard = 64;

}  // namespace

Memory heap() {
  return {.allocate =
              [](std::size_t bytes) {
                void* p = std::malloc(bytes);
                if (p == nullptr) throw std::bad_alloc();
                return p;
              },
          .release = [](void* p) { std::free(p); }};
}

twincheck_matrix& Buffers::matrix(int operand) { return args.*kMatrices[static_cast<std::size_t>(operand)]; }

Buffers::Buffers(const Case& c, Memory memory) : args{}, memory_(memory) {
  args.size = sizeof args;
  args.source = c.source;
  args.num_shared = c.shared;
  args.base_id = c.base_id;
  args.remap_local_routed = c.remap;
  std::memcpy(&args.scale, &c.scale_bits, sizeof args.scale);
  for (int i = 0; i < kOperands; ++i) {
    Matrix m = implied_matrix_of(c, static_cast<Operand>(i));
    m.row_stride = m.cols;
    Part& p = parts_[i];
    p.bytes = static_cast<std::size_t>(m.rows * m.cols * dtype_bytes(m.dtype));
    p.memory = static_cast<std::byte*>(memory_.allocate(p.bytes + 2 * kGuard));
    if (p.bytes > 0) m.data = p.memory + kGuard;
    matrix(i) = m;
  }
  paint(std::byte{0xa5});
  write_inputs(c);
}

Buffers::~Buffers() {
  for (const Part& p : parts_) memory_.release(p.memory);
}

void Buffers::paint(std::byte with) {
  painted_ = with;
  for (int i = 0; i < kOperands; ++i) {
    const Part& p = parts_[i];
    if (i >= kInputs) {
      std::memset(p.memory, static_cast<int>(with), p.bytes + 2 * kGuard);
      continue;
    }
    std::memset(p.memory, static_cast<int>(with), kGuard);
    std::memset(p.memory + kGuard + p.bytes, static_cast<int>(with), kGuard);
  }
}

void Buffers::write_inputs(const Case& c) {
  for (int i = 0; i < kInputs; ++i) {
    const auto o = static_cast<Operand>(i);
    Part& p = parts_[i];
    p.dense.resize(p.bytes);
    const Matrix m = implied_matrix_of(c, o);
    if (p.bytes == 0) continue;
    fill(c, o, 0, m.rows, p.dense.data());
    std::memcpy(p.memory + kGuard, p.dense.data(), p.bytes);
  }
}

std::string Buffers::changed() const {
  for (int i = 0; i < kOperands; ++i) {
    const Part& p = parts_[i];
    const std::string_view name = kOperandNames[static_cast<std::size_t>(i)];
    for (std::size_t b = 0; b < kGuard; ++b) {
      if (p.memory[b] != painted_) return fmt::format("{}: a byte before it changed", name);
      if (p.memory[kGuard + p.bytes + b] != painted_) return fmt::format("{}: a byte behind it changed", name);
    }
    if (i < kInputs && p.bytes > 0 && std::memcmp(p.memory + kGuard, p.dense.data(), p.bytes) != 0)
      return fmt::format("{}: an element changed", name);
  }
  return {};
}

Outputs Buffers::outputs() const {
  Outputs out;
  out.rows = args.out_ids.rows;
  out.columns = args.out_ids.cols;
  const auto elements = static_cast<std::size_t>(out.rows * out.columns);
  out.ids.resize(elements);
  out.weights.resize(elements);
  const std::byte* ids = parts_[static_cast<int>(Operand::kOutIds)].memory + kGuard;
  const std::byte* weights = parts_[static_cast<int>(Operand::kOutWeights)].memory + kGuard;
  const auto width = static_cast<std::size_t>(dtype_bytes(args.out_weights.dtype));
  for (std::size_t i = 0; i < elements; ++i) {
    if (args.out_ids.dtype == TWINCHECK_I64) {
      std::memcpy(&out.ids[i], ids + i * 8, 8);
    } else {
      int32_t id;
      std::memcpy(&id, ids + i * 4, 4);
      out.ids[i] = id;
    }
    out.weights[i] = 0;
    std::memcpy(&out.weights[i], weights + i * width, width);
  }
  return out;
}

}  // namespace twincheck::relate
