// A token's result depends neither on how many tokens there are nor on which of them it is: the same tokens, over and over,
// in batches on each side of every size at which a kernel may take another path.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {
namespace {

// Wave, block and grid sizes and their neighbours; the larger, the more seldom.
int64_t draw_tokens(Choices& choices, int64_t elements_a_token) {
  static constexpr int64_t kSmall[] = {1, 2, 4, 8, 16, 32}, kNear[] = {32, 64, 128, 256}, kFar[] = {512, 1024, 2048};
  static constexpr int64_t kFarther[] = {4096, 8192};
  constexpr int64_t kMostElements = int64_t{1} << 19;
  const uint64_t kind = choices.below(8192);
  int64_t tokens = 65536;
  if (kind < 6144)
    tokens = kSmall[choices.below(std::size(kSmall))];
  else if (kind < 8064)
    tokens = kNear[choices.below(std::size(kNear))];
  else if (kind < 8184)
    tokens = kFar[choices.below(std::size(kFar))];
  else if (kind < 8191)
    tokens = kFarther[choices.below(std::size(kFarther))];
  tokens += choices.between(-1, 1);
  return std::clamp<int64_t>(tokens, 1, std::max<int64_t>(1, kMostElements / std::max<int64_t>(1, elements_a_token)));
}

}  // namespace

Law row_independent_of_tokens() {
  return {
      .name = "row_independent_of_tokens",
      .line = __LINE__,
      .sentence = "a token's result does not depend on the number of tokens nor on its place among them",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("row_independent_of_tokens", candidate, bench);
            Outputs first, second;
            if (!session.given(c, first) || c.tokens == 0) return session.report();
            const auto literal = relate::literalize(c);
            if (!literal) {
              session.too_large();
              return session.report();
            }
            std::vector<int64_t> order(static_cast<std::size_t>(c.tokens));
            std::iota(order.begin(), order.end(), 0);
            const int64_t turn = choices.between(0, c.tokens - 1);
            std::rotate(order.begin(), order.begin() + turn, order.end());
            Case other = relate::select_rows(*literal, order);
            other.tokens = draw_tokens(choices, c.top_k + c.shared + c.hidden);
            relate::refit(other);
            if (!session.related(other, second,
                                 fmt::format("the same tokens in a batch of {}, from token {} on", other.tokens, turn)))
              return session.report();
            for (int64_t t = 0; t < other.tokens; ++t)
              if (!session.agree({*literal, first, (t + turn) % c.tokens}, {other, second, t}, first.columns,
                                 fmt::format("token {} of {}, now of {}", (t + turn) % c.tokens, c.tokens, other.tokens)))
                break;
            return session.report();
          },
  };
}

}  // namespace twincheck::law
