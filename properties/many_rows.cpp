// A hundred million rows, each of them right: what is counted in rows, in blocks or in bytes in 32 bits goes wrong on the
// way there.
#include "properties/many_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "harness/case/values.h"
#include "harness/judge/device.h"
#include "properties/device_buffers.h"
#include "properties/list.h"
#include "reference/oracle.h"

namespace twincheck::relate {
namespace {

constexpr int64_t kPiece = int64_t{1} << 17;  // rows
constexpr std::size_t kGuard = 4096;
constexpr uint8_t kPaint = 0xa5;

std::size_t element_bytes(const Matrix& m) { return static_cast<std::size_t>(dtype_bytes(m.dtype)); }

// The matrices of the whole call on the device, each between guards.
class Whole {
 public:
  Whole(Device& device, const Case& c) : device_(device) {
    for (std::size_t i = 0; i < kOperands; ++i) {
      Matrix m = implied_matrix_of(c, static_cast<Operand>(i));
      m.row_stride = m.cols;
      bytes_[i] = static_cast<std::size_t>(m.rows * m.cols) * element_bytes(m);
      if (bytes_[i] > 0) {
        memory_[i] = static_cast<std::byte*>(device.allocate(bytes_[i] + 2 * kGuard));
        if (memory_[i] == nullptr) {
          release();
          throw NoRoom(fmt::format("there is no memory on the device for {} rows", c.tokens));
        }
        m.data = memory_[i] + kGuard;
        device.fill(memory_[i], kPaint, bytes_[i] + 2 * kGuard);
      }
      args.*kMatrices[i] = m;
    }
    args.size = sizeof args;
    args.source = c.source;
    args.num_shared = c.shared;
    args.base_id = c.base_id;
    args.remap_local_routed = c.remap;
    std::memcpy(&args.scale, &c.scale_bits, sizeof args.scale);
    args.stream = device.stream();
    device.synchronize();
  }
  ~Whole() { release(); }
  Whole(const Whole&) = delete;
  Whole& operator=(const Whole&) = delete;

  // Empty, or whose guard changed.
  std::string changed() {
    std::vector<std::byte> guard(kGuard);
    for (std::size_t i = 0; i < kOperands; ++i)
      for (const std::byte* at : {memory_[i], memory_[i] + kGuard + bytes_[i]}) {
        if (memory_[i] == nullptr) continue;
        device_.download(guard.data(), at, kGuard);
        device_.synchronize();
        if (!std::all_of(guard.begin(), guard.end(), [](std::byte b) { return b == std::byte{kPaint}; }))
          return fmt::format("{}: a byte {} it changed", kOperandNames[i], at == memory_[i] ? "before" : "behind");
      }
    return {};
  }

  AppendArgs args{};

 private:
  void release() {
    try {
      for (std::byte*& p : memory_)
        if (p != nullptr) device_.release(std::exchange(p, nullptr));
    } catch (const DeviceError&) {
      // The device is gone, and its memory with it.
    }
  }

  Device& device_;
  std::array<std::byte*, kOperands> memory_{};
  std::array<std::size_t, kOperands> bytes_{};
};

// A piece of the rows in this process, tight.
class Piece {
 public:
  Piece(const Whole& whole, const Case& c) : args(whole.args), case_(c), whole_(whole) {
    for (std::size_t i = 0; i < kOperands; ++i) {
      Matrix& m = args.*kMatrices[i];
      if (m.data == nullptr) continue;
      buffers_[i].resize(static_cast<std::size_t>(std::min(m.rows, kPiece) * m.cols) * element_bytes(m));
      m.data = buffers_[i].data();
    }
  }

  // Rows [first, first + rows): their inputs, as the case has them. The gate has one row, which is every piece's.
  void make_inputs(int64_t first, int64_t rows) {
    for (std::size_t i = 0; i < kOperands; ++i) {
      Matrix& m = args.*kMatrices[i];
      const auto o = static_cast<Operand>(i);
      if (m.data == nullptr) continue;
      if (o != Operand::kGate) m.rows = rows;
      if (i < kInputs) fill(case_, o, o == Operand::kGate ? 0 : first, m.rows, buffers_[i].data());
    }
  }
  void upload(Device& device, void* stream, int64_t first) {
    for (std::size_t i = 0; i < kInputs; ++i)
      transfer(i, first,
               [&](std::byte* there, std::byte* here, std::size_t bytes) { device.upload(there, here, bytes, stream); });
    device.synchronize(stream);
  }
  void download(Device& device, void* stream, int64_t first) {
    for (std::size_t i = kInputs; i < kOperands; ++i)
      transfer(i, first,
               [&](std::byte* there, std::byte* here, std::size_t bytes) { device.download(here, there, bytes, stream); });
    device.synchronize(stream);
  }

  AppendArgs args;

 private:
  template <typename Move>
  void transfer(std::size_t i, int64_t first, Move move) {
    const Matrix& here = args.*kMatrices[i];
    if (here.data == nullptr) return;
    const std::size_t row = static_cast<std::size_t>(here.cols) * element_bytes(here);
    auto* const there = static_cast<std::byte*>((whole_.args.*kMatrices[i]).data);
    const int64_t from = static_cast<Operand>(i) == Operand::kGate ? 0 : first;
    move(there + static_cast<std::size_t>(from) * row, buffers_[i].data(), static_cast<std::size_t>(here.rows) * row);
  }

  const Case& case_;
  const Whole& whole_;
  std::array<std::vector<std::byte>, kOperands> buffers_;
};

// The first element of a piece that is not as expected, if any.
std::optional<std::string> first_wrong(const AppendArgs& args, int64_t first, const reference::Expected& expected) {
  const auto dtype = static_cast<Dtype>(args.out_weights.dtype);
  const auto* const ids = static_cast<const std::byte*>(args.out_ids.data);
  const auto* const weights = static_cast<const std::byte*>(args.out_weights.data);
  const std::size_t id_bytes = element_bytes(args.out_ids), weight_bytes = element_bytes(args.out_weights);
  for (std::size_t i = 0; i < expected.ids.size(); ++i) {
    int64_t id = 0;
    if (id_bytes == 8) {
      std::memcpy(&id, ids + i * 8, 8);
    } else {
      int32_t narrow;
      std::memcpy(&narrow, ids + i * 4, 4);
      id = narrow;
    }
    uint32_t weight = 0;
    std::memcpy(&weight, weights + i * weight_bytes, weight_bytes);
    const auto where = [&] {
      const auto columns = static_cast<std::size_t>(expected.columns);
      return fmt::format("[token={}][slot={}]", first + static_cast<int64_t>(i / columns), i % columns);
    };
    if (!expected.ids[i].any && id != expected.ids[i].value)
      return fmt::format("out_ids{} expected {}, got {}", where(), expected.ids[i].value, id);
    if (!reference::accepts(expected.weights[i], dtype, weight))
      return fmt::format("out_weights{} expected {:#x} to {:#x}, got {:#x}", where(), expected.weights[i].lo,
                         expected.weights[i].hi, weight);
  }
  return {};
}

// Runs use(piece, stream, first row, rows) for every piece, on all cores.
template <typename Use>
void in_pieces(Device& device, const Whole& whole, const Case& c, Use use) {
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    try {
      device.make_current();
      void* const stream = device.create_stream();
      Piece piece(whole, c);
      for (int64_t first; (first = next.fetch_add(kPiece)) < c.tokens;)
        use(piece, stream, first, std::min(kPiece, c.tokens - first));
      device.destroy_stream(stream);
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < std::max(1u, std::thread::hardware_concurrency()); ++t) threads.emplace_back(work);
  for (std::thread& t : threads) t.join();
  if (error != nullptr) std::rethrow_exception(error);
}

}  // namespace

Report check_many_rows(const Case& c, const Candidate& candidate, Bench& bench) {
  Device& device = *bench.device();
  Session session("many_rows", candidate, bench);
  try {
    Whole whole(device, c);
    in_pieces(device, whole, c, [&](Piece& piece, void* stream, int64_t first, int64_t rows) {
      piece.make_inputs(first, rows);
      piece.upload(device, stream, first);
    });
    const int32_t status = candidate.append(&whole.args);
    device.synchronize();
    if (status == TWINCHECK_UNSUPPORTED) session.end(Verdict::kUnsupported, fmt::format("{} rows", c.tokens));
    if (status != TWINCHECK_OK && status != TWINCHECK_UNSUPPORTED)
      session.fail(fmt::format("{} rows: answered {}", c.tokens, word(kStatusNames, status)));
    if (status != TWINCHECK_OK) return session.report();

    std::mutex mutex;
    int64_t wrong_at = c.tokens;
    std::string wrong;
    in_pieces(device, whole, c, [&](Piece& piece, void* stream, int64_t first, int64_t rows) {
      thread_local reference::Expected expected;
      piece.make_inputs(first, rows);
      piece.download(device, stream, first);
      reference::append(piece.args, 0, rows, expected);
      std::optional<std::string> words = first_wrong(piece.args, first, expected);
      if (!words) return;
      const std::lock_guard lock(mutex);
      if (first >= wrong_at) return;
      wrong_at = first;
      wrong = std::move(*words);
    });
    session.report().ids_compared = session.report().weights_compared = c.tokens * (c.top_k + c.shared);
    if (!wrong.empty()) {
      session.fail(fmt::format("{} rows: {}", c.tokens, wrong));
    } else if (const std::string changed = whole.changed(); !changed.empty()) {
      session.fail(fmt::format("{} rows: {}", c.tokens, changed));
    }
  } catch (const NoRoom& e) {
    session.end(Verdict::kTooLarge, e.what());
  }
  return session.report();
}

}  // namespace twincheck::relate

namespace twincheck::law {
namespace {

constexpr int64_t kRows = 100'000'000;

// A small case's dtypes, source and values, with that many rows: at most 10 GB. Rows of four ids are as long as vectors of
// 16 bytes, and kernels may take them one by one; shorter ones are a stream to them.
Case with_rows(Case c) {
  c = relate::with_layout_tight(std::move(c));
  c.tokens = kRows;
  c.top_k = c.seed % 2 == 0 ? 3 : 1;
  if (c.shared == 0) c.base_id = 0;  // it could have been any
  c.shared = 1;
  if (c.source == TWINCHECK_GATE) c.hidden = 2;
  for (std::vector<uint64_t>& literal : c.literal) literal.clear();
  return c;
}

}  // namespace

Law many_rows() {
  return {
      .name = "many_rows",
      .line = __LINE__,
      .sentence = "a hundred million rows are all right",
      .domain = {.validity = Validity::kValid, .odd_layouts = false, .max_tokens = 16},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            if (bench.device() == nullptr) return check(c, candidate, bench);
            return relate::check_many_rows(with_rows(c), candidate, bench);
          },
      .cost = 25,
  };
}

}  // namespace twincheck::law
