#include "harness/judge/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "harness/case/values.h"
#include "reference/oracle.h"
#include "reference/rounding.h"
#include "reference/sigmoid.h"

namespace twincheck {
namespace {

constexpr int64_t kShared = 64;      // columns of a chunk
constexpr std::size_t kSlack = 256;  // bytes before a buffer's first element, so that it can lie past alignment

constexpr std::array kSweeps{
    Sweep{"f32-bf16", Source::kWeights, Dtype::kF32, Dtype::kBf16},
    Sweep{"f32-f16", Source::kWeights, Dtype::kF32, Dtype::kF16},
    Sweep{"bf16-f32", Source::kWeights, Dtype::kBf16, Dtype::kF32},
    Sweep{"bf16-f16", Source::kWeights, Dtype::kBf16, Dtype::kF16},
    Sweep{"f16-f32", Source::kWeights, Dtype::kF16, Dtype::kF32},
    Sweep{"f16-bf16", Source::kWeights, Dtype::kF16, Dtype::kBf16},
    Sweep{"bf16-sigmoid", Source::kLogits, Dtype::kBf16, Dtype::kF32},
    Sweep{"f16-sigmoid", Source::kLogits, Dtype::kF16, Dtype::kF32},
    Sweep{"f32-sigmoid", Source::kLogits, Dtype::kF32, Dtype::kF32},
};

std::size_t bytes_of(Dtype d) { return d == Dtype::kF32 ? 4 : 2; }

// The first element, `past` elements beyond 256-byte alignment.
std::byte* first_element(std::vector<std::byte>& buffer, std::size_t elements, std::size_t element, bool past) {
  buffer.resize(kSlack + (elements + 1) * element + kSlack);
  const auto p = (reinterpret_cast<uintptr_t>(buffer.data()) + kSlack - 1) / kSlack * kSlack;
  return reinterpret_cast<std::byte*>(p + (past ? element : 0));
}

// f of the dtype as a type, so that what it does is compiled for each.
template <class F>
auto with_dtype(Dtype dtype, F f) {
  if (dtype == Dtype::kF32) return f(std::integral_constant<Dtype, Dtype::kF32>{});
  if (dtype == Dtype::kBf16) return f(std::integral_constant<Dtype, Dtype::kBf16>{});
  return f(std::integral_constant<Dtype, Dtype::kF16>{});
}

// What the reference makes of the n bit patterns from `first` on, correctly rounded; how many of them are NaN.
template <typename Bits>
std::size_t expect(const Sweep& sweep, uint32_t first, std::size_t n, Bits* expected) {
  return with_dtype(sweep.from, [&](auto from) {
    return with_dtype(sweep.to, [&](auto to) {
      std::size_t nans = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const double value = reference::widen(reference::format_of(from), first + static_cast<uint32_t>(i));
        nans += value != value;
        expected[i] =
            static_cast<Bits>(sweep.source == Source::kLogits ? reference::sigmoid_correctly_rounded(value, 1.0f, to)
                                                              : reference::round(reference::format_of(to), value));
      }
      return nans;
    });
  });
}

}  // namespace

std::span<const Sweep> sweeps() { return kSweeps; }

const Sweep* find_sweep(std::string_view name) {
  const auto it = std::find_if(kSweeps.begin(), kSweeps.end(), [&](const Sweep& s) { return s.name == name; });
  return it == kSweeps.end() ? nullptr : &*it;
}

Case sweep_case(const Sweep& sweep, Sweep::Piece piece) {
  Case c;
  c.source = static_cast<int32_t>(sweep.source);
  c.shared = kShared;
  c.tokens = static_cast<int64_t>(std::min(kSweepChunk, sweep.values())) / kShared;
  c.weights_dtype = sweep.to;
  c.shared_dtype = sweep.from;
  c.shared_values = ValueClass::kConsecutive;
  c.seed = piece.chunk * kSweepChunk;
  if (piece.scalar) c.of(Operand::kShared).offset = c.of(Operand::kOutIds).offset = c.of(Operand::kOutWeights).offset = 1;
  return c;
}

void SweepResult::add(const SweepResult& other) {
  values += other.values;
  for (std::size_t i = 0; i < kBins; ++i) ulp[i] += other.ulp[i];
  if (other.max_ulp > max_ulp || (other.max_ulp == max_ulp && other.max_at < max_at)) {
    max_ulp = other.max_ulp;
    max_at = other.max_at;
  }
}

Report SweepBench::run(const Sweep& sweep, Sweep::Piece piece, const Candidate& candidate, Bench& bench,
                       SweepResult& result) {
  const Case c = sweep_case(sweep, piece);
  const auto n = static_cast<std::size_t>(c.tokens * c.shared);
  const std::size_t in_bytes = bytes_of(sweep.from), out_bytes = bytes_of(sweep.to);
  std::byte* in = first_element(inputs_, n, in_bytes, piece.scalar);
  std::byte* ids = first_element(ids_, n, 4, piece.scalar);
  std::byte* out = first_element(weights_, n, out_bytes, piece.scalar);
  fill(c, Operand::kShared, 0, c.tokens, in);
  std::memset(out, 0xa5, n * out_bytes);

  const auto to_dtype = static_cast<int32_t>(sweep.to), from_dtype = static_cast<int32_t>(sweep.from);
  AppendArgs args{};
  args.size = sizeof args;
  args.source = c.source;
  args.num_shared = c.shared;
  args.scale = 1.0f;
  args.topk_ids = {ids, c.tokens, 0, 0, TWINCHECK_I32, 0};
  args.topk_weights = {out, c.tokens, 0, 0, to_dtype, 0};
  args.shared = {in, c.tokens, kShared, kShared, from_dtype, 0};
  args.out_ids = {ids, c.tokens, kShared, kShared, TWINCHECK_I32, 0};
  args.out_weights = {out, c.tokens, kShared, kShared, to_dtype, 0};
  const int32_t status = candidate.append(&args);

  SweepResult found;
  const bool right = status == TWINCHECK_OK && (out_bytes == 4 ? compare<uint32_t>(sweep, piece.chunk, out, n, found)
                                                               : compare<uint16_t>(sweep, piece.chunk, out, n, found));
  if (!right) {
    Report report = check(c, candidate, bench);
    if (report.verdict == Verdict::kPassed) {
      report.verdict = Verdict::kFlaky;
      report.law = promise::kAppendedWeights;
      report.detail = "a value was wrong in the sweep and right when it was tried again";
    }
    return report;
  }
  found.values = n;
  result.add(found);
  Report report;
  report.weights_compared = static_cast<int64_t>(n);
  return report;
}

// The outputs of a chunk against the reference. False at the first that is not acceptable.
template <typename Bits>
bool SweepBench::compare(const Sweep& sweep, uint64_t chunk, const std::byte* out, std::size_t n, SweepResult& found) {
  const reference::Format from = reference::format_of(sweep.from), to = reference::format_of(sweep.to);
  const auto first = static_cast<uint32_t>(chunk * kSweepChunk);
  expected_.resize(n * sizeof(Bits));
  auto* const expected = reinterpret_cast<Bits*>(expected_.data());
  const std::size_t nans = expect(sweep, first, n, expected);
  found.ulp[SweepResult::kBins - 1] = nans;
  if (std::memcmp(out, expected, n * sizeof(Bits)) == 0) {
    found.ulp[0] = n - nans;
    return true;
  }
  for (std::size_t i = 0; i < n; ++i) {
    Bits got;
    std::memcpy(&got, out + i * sizeof(Bits), sizeof(Bits));
    if (reference::is_nan(to, expected[i])) {
      if (!reference::is_nan(to, got)) return false;
      continue;
    }
    if (got == expected[i]) {
      ++found.ulp[0];
      continue;
    }
    if (sweep.source != Source::kLogits || reference::is_nan(to, got)) return false;
    const auto input = first + static_cast<uint32_t>(i);
    if (!reference::accepts(reference::sigmoid_interval(reference::widen(from, input), 1.0f, sweep.to), sweep.to, got))
      return false;
    const auto distance = static_cast<uint64_t>(std::abs(reference::ordinal(to, got) - reference::ordinal(to, expected[i])));
    ++found.ulp[std::min<uint64_t>(distance, SweepResult::kBins - 2)];
    if (distance > found.max_ulp) {
      found.max_ulp = distance;
      found.max_at = input;
    }
  }
  return true;
}

}  // namespace twincheck
