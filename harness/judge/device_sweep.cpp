#include "harness/judge/device_sweep.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace twincheck {
namespace {

constexpr std::size_t kAlignment = 256;
// Of one buffer: elements of at most four bytes, one of them before the first where that lies past alignment.
constexpr std::size_t kBuffer = kSweepChunk * 4 + kAlignment;
constexpr std::size_t kFound = (sizeof(twincheck_oracle_found) + kAlignment - 1) / kAlignment * kAlignment;
constexpr std::size_t kPieceBytes = 3 * kBuffer + kFound;
constexpr std::size_t kHead = offsetof(twincheck_oracle_found, undecided);

std::size_t bytes_of(Dtype d) { return d == Dtype::kF32 ? 4 : 2; }

SweepResult result_of(const twincheck_oracle_found& found) {
  static_assert(SweepResult::kBins == TWINCHECK_ORACLE_BINS);
  SweepResult result;
  result.values = found.values;
  result.wrong = found.wrong;
  std::copy(std::begin(found.ulp), std::end(found.ulp), result.ulp.begin());
  if (found.first_wrong > 0) result.wrong_at = (uint64_t{1} << 32) - found.first_wrong;
  if (found.farthest > 0) {
    result.max_ulp = found.farthest >> 32;
    result.max_at = 0xffffffffu - static_cast<uint32_t>(found.farthest);
  }
  return result;
}

}  // namespace

DeviceSweepBench::DeviceSweepBench(Bench& bench, const std::string& oracle)
    : bench_(bench),
      device_(*bench.device()),
      oracle_(device_, oracle),
      memory_(static_cast<std::byte*>(device_.allocate(kPieces * kPieceBytes))),
      found_(static_cast<twincheck_oracle_found*>(device_.allocate_host(kPieces * sizeof *found_))) {
  if (memory_ == nullptr || found_ == nullptr) throw DeviceError("there is no memory for a sweep's buffers");
}

DeviceSweepBench::~DeviceSweepBench() {
  try {
    device_.release(memory_);
    device_.release_host(found_);
  } catch (const DeviceError&) {
    // The device is gone, and its memory with it.
  }
}

DeviceSweepBench::Buffers DeviceSweepBench::buffers(std::size_t i) const {
  std::byte* const p = memory_ + i * kPieceBytes;
  return {p, p + kBuffer, p + 2 * kBuffer, reinterpret_cast<twincheck_oracle_found*>(p + 3 * kBuffer)};
}

// The same by the CPU's reference.
void DeviceSweepBench::compare_here(const Sweep& sweep, uint64_t first, std::size_t count, const std::byte* got,
                                    SweepResult& result) {
  std::vector<std::byte> expected(count * bytes_of(sweep.to));
  sweep_expected(sweep, first, count, expected.data());
  sweep_compare(sweep, first, count, expected.data(), got, result);
}

std::vector<Report> DeviceSweepBench::run(const Sweep& sweep, std::span<const Sweep::Piece> pieces,
                                          const Candidate& candidate, std::span<SweepResult* const> results) {
  const std::size_t in = bytes_of(sweep.from), out = bytes_of(sweep.to);
  std::array<twincheck_oracle_range, kPieces> ranges{};
  std::array<int32_t, kPieces> statuses{};
  const auto weights_of = [&](std::size_t i) { return buffers(i).weights + (pieces[i].scalar ? out : 0); };

  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Case c = sweep_case(sweep, pieces[i]);
    const Buffers b = buffers(i);
    std::byte* const inputs = b.inputs + (pieces[i].scalar ? in : 0);
    std::byte* const ids = b.ids + (pieces[i].scalar ? 4 : 0);
    ranges[i] = {.source = c.source,
                 .from = static_cast<int32_t>(sweep.from),
                 .to = static_cast<int32_t>(sweep.to),
                 .reserved = 0,
                 .first = pieces[i].chunk * kSweepChunk,
                 .count = static_cast<uint64_t>(c.tokens * c.shared)};
    device_.fill(b.found, 0, sizeof *b.found);
    device_.fill(b.weights, 0xa5, kBuffer);
    oracle_.inputs(ranges[i], inputs);
    AppendArgs args = sweep_arguments(c, inputs, ids, weights_of(i));
    args.stream = device_.stream();
    statuses[i] = candidate.append(&args);
  }
  device_.synchronize();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (statuses[i] == TWINCHECK_OK) oracle_.compare(ranges[i], weights_of(i), buffers(i).found);
    device_.download(&found_[i], buffers(i).found, kHead);
  }
  device_.synchronize();

  std::vector<Report> reports;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    twincheck_oracle_found& found = found_[i];
    const twincheck_oracle_range& range = ranges[i];
    SweepResult result;
    if (found.left <= TWINCHECK_ORACLE_LEFT) {
      result = result_of(found);
      if (found.left > 0) {
        device_.download(found.undecided, buffers(i).found->undecided, found.left * sizeof *found.undecided);
        device_.synchronize();
      }
      for (uint64_t n = 0; n < found.left; ++n)
        compare_here(sweep, found.undecided[n].input, 1, reinterpret_cast<const std::byte*>(&found.undecided[n].got),
                     result);
    } else {
      std::vector<std::byte> got(range.count * out);
      device_.download(got.data(), weights_of(i), got.size());
      device_.synchronize();
      compare_here(sweep, range.first, range.count, got.data(), result);
    }
    results[i]->add(result);
    reports.push_back(sweep_report(sweep, pieces[i], statuses[i], result, candidate, bench_, wrong_pieces_));
  }
  return reports;
}

}  // namespace twincheck
