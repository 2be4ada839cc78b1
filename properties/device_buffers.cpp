#include "properties/device_buffers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "harness/case/values.h"

namespace twincheck::relate {
namespace {

constexpr std::size_t kGuard = 256;

}  // namespace

DeviceBuffers::DeviceBuffers(Device& device, const Case& c) : args{}, device_(device) {
  args.size = sizeof args;
  args.source = c.source;
  args.num_shared = c.shared;
  args.base_id = c.base_id;
  args.remap_local_routed = c.remap;
  std::memcpy(&args.scale, &c.scale_bits, sizeof args.scale);
  args.stream = device.stream();
  for (std::size_t i = 0; i < kOperands; ++i) {
    Matrix m = implied_matrix_of(c, static_cast<Operand>(i));
    m.row_stride = m.cols;
    Part& p = parts_[i];
    p.bytes = static_cast<std::size_t>(m.rows * m.cols * dtype_bytes(m.dtype));
    p.memory = static_cast<std::byte*>(device.allocate(p.bytes + 2 * kGuard));
    p.host = static_cast<std::byte*>(device.allocate_host(p.bytes + 2 * kGuard));
    if (p.memory == nullptr || p.host == nullptr) throw NoRoom("there is no memory for the law's buffers");
    if (p.bytes > 0) m.data = p.memory + kGuard;
    args.*kMatrices[i] = m;
  }
  paint(0xa5);
  write_inputs(c);
}

DeviceBuffers::~DeviceBuffers() {
  try {
    for (const Part& p : parts_) {
      device_.release(p.memory);
      device_.release_host(p.host);
    }
  } catch (const DeviceError&) {
    // The device is gone, and its memory with it.
  }
}

void DeviceBuffers::paint(uint8_t with) {
  painted_ = with;
  for (std::size_t i = 0; i < kOperands; ++i) {
    const Part& p = parts_[i];
    if (i >= kInputs) {
      device_.fill(p.memory, with, p.bytes + 2 * kGuard, args.stream);
      continue;
    }
    device_.fill(p.memory, with, kGuard, args.stream);
    device_.fill(p.memory + kGuard + p.bytes, with, kGuard, args.stream);
  }
}

void DeviceBuffers::write_inputs(const Case& c) {
  for (std::size_t i = 0; i < kInputs; ++i) {
    const auto o = static_cast<Operand>(i);
    Part& p = parts_[i];
    p.dense.resize(p.bytes);
    if (p.bytes == 0) continue;
    fill(c, o, 0, implied_matrix_of(c, o).rows, p.dense.data());
    std::memcpy(p.host + kGuard, p.dense.data(), p.bytes);
    device_.upload(p.memory + kGuard, p.host + kGuard, p.bytes, args.stream);
  }
}

void DeviceBuffers::fetch() {
  for (const Part& p : parts_) device_.download(p.host, p.memory, p.bytes + 2 * kGuard, args.stream);
  device_.synchronize(args.stream);
}

Outputs DeviceBuffers::outputs() {
  fetch();
  Outputs out;
  out.rows = args.out_ids.rows;
  out.columns = args.out_ids.cols;
  const auto elements = static_cast<std::size_t>(out.rows * out.columns);
  out.ids.resize(elements);
  out.weights.resize(elements);
  const std::byte* ids = parts_[static_cast<std::size_t>(Operand::kOutIds)].host + kGuard;
  const std::byte* weights = parts_[static_cast<std::size_t>(Operand::kOutWeights)].host + kGuard;
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

std::string DeviceBuffers::changed() const {
  const auto is_painted = [&](std::byte b) { return b == std::byte{painted_}; };
  for (std::size_t i = 0; i < kOperands; ++i) {
    const std::string_view name = kOperandNames[i];
    const Part& p = parts_[i];
    const std::byte* const behind = p.host + kGuard + p.bytes;
    if (!std::all_of(p.host, p.host + kGuard, is_painted)) return fmt::format("{}: a byte before it changed", name);
    if (!std::all_of(behind, behind + kGuard, is_painted)) return fmt::format("{}: a byte behind it changed", name);
    if (i < kInputs && p.bytes > 0 && std::memcmp(p.host + kGuard, p.dense.data(), p.bytes) != 0)
      return fmt::format("{}: an element changed", name);
  }
  return {};
}

bool DeviceBuffers::outputs_untouched() {
  fetch();
  for (std::size_t i = kInputs; i < kOperands; ++i) {
    const Part& p = parts_[i];
    if (!std::all_of(p.host, p.host + p.bytes + 2 * kGuard, [&](std::byte b) { return b == std::byte{painted_}; }))
      return false;
  }
  return true;
}

bool OnDevice::begin(const Case& c) {
  if (!session.given(c, right)) return false;
  device = session.bench().device();
  if (device == nullptr) return false;
  const auto literal = literalize(c);
  if (!literal) return session.too_large();
  tight = with_layout_tight(*literal);
  return true;
}

bool OnDevice::call(const AppendArgs& args, std::string_view when) {
  const int32_t status = session.candidate().append(&args);
  if (status == TWINCHECK_OK) return true;
  const char* text = session.candidate().last_error != nullptr ? session.candidate().last_error() : nullptr;
  return session.fail(fmt::format("{}: answered {} ({})", when, word(kStatusNames, status), text != nullptr ? text : ""));
}

bool OnDevice::holds(DeviceBuffers& buffers, const Case& literal, const Outputs& expected, int64_t first, int64_t last,
                     std::string_view when) {
  const Outputs out = buffers.outputs();
  if (const std::string changed = buffers.changed(); !changed.empty())
    return session.fail(fmt::format("{}: {}", when, changed));
  for (int64_t t = first; t < last; ++t)
    if (!session.agree({literal, expected, t}, {literal, out, t}, expected.columns, when)) return false;
  return true;
}

Case turned(const Case& literal) {
  std::vector<int64_t> rows;
  for (int64_t t = literal.tokens; t > 0; --t) rows.push_back(t - 1);
  return select_rows(literal, rows);
}

}  // namespace twincheck::relate
