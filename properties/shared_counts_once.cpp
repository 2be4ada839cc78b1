// Every one of R ranks appends the shared expert with scale / R, and an all-reduce adds the ranks up: the shared expert must
// count once. Dividing by a power of two is exact, so that the sum is the undivided weight; otherwise the sum is off by what
// R roundings and the interval of a bounded weight allow.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "properties/definition.h"
#include "properties/list.h"

namespace twincheck::law {
namespace {

using relate::number_of;

}  // namespace

Law shared_counts_once() {
  return {
      .name = "shared_counts_once",
      .line = __LINE__,
      .sentence = "over R ranks with scale / R the sum of a shared weight is the weight",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("shared_counts_once", candidate, bench);
            if (!session.given(c)) return session.report();
            static constexpr int kRanks[] = {2, 4, 8, 16, 64, 3, 5, 6, 7, 12};
            const int ranks = kRanks[choices.below(std::size(kRanks))];
            auto whole = relate::literalize(c);
            if (!whole) {
              session.too_large();
              return session.report();
            }
            // `weights` are the caller's to divide: its values serve as logits.
            if (c.source == TWINCHECK_WEIGHTS) whole->source = TWINCHECK_LOGITS;
            const float scale = std::bit_cast<float>(c.scale_bits), divided = scale / static_cast<float>(ranks);
            Case rank = *whole;
            rank.scale_bits = std::bit_cast<uint32_t>(divided);
            Outputs once, each;
            if (!session.related(*whole, once, "the whole scale") ||
                !session.related(rank, each, fmt::format("the scale of one of {} ranks", ranks)))
              return session.report();
            const Dtype dtype = c.weights_dtype;
            const double r = ranks, u = relate::unit_roundoff(dtype);
            const bool computed = whole->source != TWINCHECK_CONSTANT;
            const bool divides =
                std::has_single_bit(static_cast<unsigned>(ranks)) && divided * static_cast<float>(ranks) == scale;
            const double flushed = computed ? 0x1p-126 * std::max(1.0, std::fabs(static_cast<double>(scale))) : 0x1p-149;
            const double absolute = (r + 1) * (relate::smallest(dtype) / 2 + flushed);
            for (int64_t t = 0; t < c.tokens; ++t)
              for (int64_t s = 0; s < c.shared; ++s) {
                const auto i = static_cast<std::size_t>(t * once.columns + c.top_k + s);
                const double weight = number_of(once.weights[i], dtype), part = number_of(each.weights[i], dtype);
                const relate::SharedWeight right = relate::shared_weight(*whole, t, s);
                if (right.or_nan || std::isinf(weight) || (std::isnan(weight) && std::isnan(part))) continue;
                const double sum = r * part;
                const bool exact =
                    divides && (session.strict() || !computed) && std::fabs(part) > relate::smallest_normal(dtype);
                const double allowed =
                    exact ? 0 : 2 * (right.hi - right.lo) + std::fabs(weight) * (2 * u + 3 * 0x1p-24) * 1.01 + absolute;
                if (std::fabs(sum - weight) <= allowed) continue;
                session.fail_weight({rank, each, t, c.top_k + s},
                                    fmt::format("{:.9g} / {}, within {:.3g}", weight, ranks, allowed),
                                    fmt::format("{} ranks add up to {:.9g}", ranks, sum));
                return session.report();
              }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
