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
void with_dtype(Dtype dtype, F f) {
  if (dtype == Dtype::kF32) return f(std::integral_constant<Dtype, Dtype::kF32>{});
  if (dtype == Dtype::kBf16) return f(std::integral_constant<Dtype, Dtype::kBf16>{});
  return f(std::integral_constant<Dtype, Dtype::kF16>{});
}

// Fills results (low, high) of bit patterns that have one sign. Conversions, the sigmoid and rounding are monotone, and the
// NaNs, which all become one, come after the numbers: so between two equal results all are equal.
template <class Evaluate, typename Bits>
void fill_between(const Evaluate& evaluate, std::size_t low, std::size_t high, Bits* results) {
  if (high - low < 2) return;
  if (results[low] == results[high]) {
    std::fill(results + low + 1, results + high, results[low]);
    return;
  }
  const std::size_t middle = low + (high - low) / 2;
  results[middle] = evaluate(middle);
  fill_between(evaluate, low, middle, results);
  fill_between(evaluate, middle, high, results);
}

constexpr std::size_t kOneSign = std::size_t{1} << 15;  // patterns in a row, from a multiple of it on

template <Dtype from, Dtype to>
void expect(Source source, uint32_t first, std::size_t count, void* expected) {
  using Bits = std::conditional_t<to == Dtype::kF32, uint32_t, uint16_t>;
  constexpr reference::Format kFrom = reference::format_of(from), kTo = reference::format_of(to);
  for (std::size_t begin = 0; begin < count; begin += kOneSign) {
    Bits* const results = static_cast<Bits*>(expected) + begin;
    const std::size_t last = std::min(kOneSign, count - begin) - 1;
    const auto evaluate = [=](std::size_t i) {
      const double value = reference::widen(kFrom, first + static_cast<uint32_t>(begin + i));
      return static_cast<Bits>(source == Source::kLogits ? reference::sigmoid_correctly_rounded(value, 1.0f, to)
                                                         : reference::round(kTo, value));
    };
    results[0] = evaluate(0);
    results[last] = evaluate(last);
    fill_between(evaluate, 0, last, results);
  }
}

template <typename Bits>
void compare(const Sweep& sweep, uint32_t first, std::size_t count, const Bits* expected, const Bits* results,
             SweepResult& found) {
  const reference::Format from = reference::format_of(sweep.from), to = reference::format_of(sweep.to);
  for (std::size_t i = 0; i < count; ++i) {
    const Bits got = results[i];
    const auto input = first + static_cast<uint32_t>(i);
    const bool is_nan = reference::is_nan(to, got), should_be_nan = reference::is_nan(to, expected[i]);
    if (got == expected[i] || (is_nan && should_be_nan)) {
      ++found.ulp[should_be_nan ? SweepResult::kNan : 0];
      continue;
    }
    bool right = false;
    if (is_nan || should_be_nan) {
      ++found.ulp[SweepResult::kNanOrNumber];
    } else {
      const auto distance =
          static_cast<uint64_t>(std::abs(reference::ordinal(to, got) - reference::ordinal(to, expected[i])));
      ++found.ulp[std::min<uint64_t>(distance, SweepResult::kFarther)];
      if (distance > found.max_ulp) {
        found.max_ulp = distance;
        found.max_at = input;
      }
      right = sweep.source == Source::kLogits &&
              reference::accepts(reference::sigmoid_interval(reference::widen(from, input), 1.0f, sweep.to), sweep.to, got);
    }
    if (!right && found.wrong++ == 0) found.wrong_at = input;
  }
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
  if (other.wrong > 0 && (wrong == 0 || other.wrong_at < wrong_at)) wrong_at = other.wrong_at;
  values += other.values;
  wrong += other.wrong;
  for (std::size_t i = 0; i < kBins; ++i) ulp[i] += other.ulp[i];
  if (other.max_ulp > max_ulp || (other.max_ulp == max_ulp && other.max_at < max_at)) {
    max_ulp = other.max_ulp;
    max_at = other.max_at;
  }
}

void sweep_expected(const Sweep& sweep, uint64_t first, std::size_t count, void* expected) {
  with_dtype(sweep.from, [&](auto from) {
    with_dtype(sweep.to, [&](auto to) { expect<from, to>(sweep.source, static_cast<uint32_t>(first), count, expected); });
  });
}

void sweep_compare(const Sweep& sweep, uint64_t first, std::size_t count, const void* expected, const void* got,
                   SweepResult& result) {
  constexpr std::size_t kBlock = 1024;  // where all are equal to what is expected, and numbers, nothing is left to look at
  const reference::Format from = reference::format_of(sweep.from);
  const std::size_t bytes = bytes_of(sweep.to);
  SweepResult found;
  found.values = count;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t n = std::min(kBlock, count - begin);
    const auto input = static_cast<uint32_t>(first + begin);
    const auto* const want = static_cast<const std::byte*>(expected) + begin * bytes;
    const auto* const have = static_cast<const std::byte*>(got) + begin * bytes;
    // A block of one sign that holds a NaN ends in one.
    if (!reference::is_nan(from, input + static_cast<uint32_t>(n - 1)) && std::memcmp(want, have, n * bytes) == 0) {
      found.ulp[0] += n;
    } else if (bytes == 4) {
      compare(sweep, input, n, reinterpret_cast<const uint32_t*>(want), reinterpret_cast<const uint32_t*>(have), found);
    } else {
      compare(sweep, input, n, reinterpret_cast<const uint16_t*>(want), reinterpret_cast<const uint16_t*>(have), found);
    }
  }
  result.add(found);
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

  Report report;
  if (status == TWINCHECK_OK) {
    const uint64_t first = piece.chunk * kSweepChunk;
    expected_.resize(n * out_bytes);
    sweep_expected(sweep, first, n, expected_.data());
    SweepResult found;
    sweep_compare(sweep, first, n, expected_.data(), out, found);
    result.add(found);
    report.weights_compared = static_cast<int64_t>(n);
    if (found.wrong == 0) return report;
    constexpr int kChecked = 4;
    if (++wrong_pieces_ > kChecked) {
      report.verdict = Verdict::kFailed;
      report.law = promise::kAppendedWeights;
      report.detail = fmt::format("{} of {} weights, the first from {:#x}", found.wrong, n, found.wrong_at);
      return report;
    }
  }
  report = check(c, candidate, bench);
  if (report.verdict == Verdict::kPassed) {
    report.verdict = Verdict::kFlaky;
    report.law = promise::kAppendedWeights;
    report.detail = status == TWINCHECK_OK ? "a value was wrong in the sweep and right when it was tried again"
                                           : fmt::format("status {} in the sweep, and right when it was tried again",
                                                         name(static_cast<Status>(status)));
  }
  return report;
}

}  // namespace twincheck
