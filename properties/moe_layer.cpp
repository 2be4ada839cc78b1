// The whole layer: a tiny MoE run from the fused ids and weights on every rank and added up over the ranks is the routed
// experts plus the gated shared experts, computed apart. Ids that collide, an expert that counts once a rank, a shared
// expert in a routed one's place: whatever a router can do to a model shows here.
#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <cmath>

#include "properties/definition.h"
#include "properties/list.h"

namespace twincheck::law {
namespace {

constexpr int kWidth = 3;  // of the layer's own tokens and experts
using Token = Eigen::Matrix<double, kWidth, 1>;
using Expert = Eigen::Matrix<double, kWidth, kWidth>;

// Entries in [-1, 1], others for every number.
template <typename M>
M matrix(uint64_t number) {
  M m;
  for (int i = 0; i < static_cast<int>(m.size()); ++i) {
    number = number * 0x5851f42d4c957f2d + 0x14057b7ef767814f;
    m(i) = static_cast<double>(number >> 11) * 0x1p-52 - 1;
  }
  return m;
}
Expert routed_expert(int64_t e) { return matrix<Expert>(static_cast<uint64_t>(e) * 2); }
Expert shared_expert(int64_t s) { return matrix<Expert>(static_cast<uint64_t>(s) * 2 + 1); }
Token token(int64_t t) { return matrix<Token>(static_cast<uint64_t>(t) + 1'000'003); }

struct Layer {
  int64_t ranks, block, shared;  // R, L, S
  int64_t span() const { return block + shared; }
};

// What rank r adds to token t: the slots whose expert lives there.
Token on_rank(const Layer& layer, const Case& c, const Outputs& out, int64_t rank, int64_t t) {
  Token sum = Token::Zero();
  for (int64_t slot = 0; slot < out.columns; ++slot) {
    const auto i = static_cast<std::size_t>(t * out.columns + slot);
    const int64_t id = out.ids[i];
    if (id < 0 || id / layer.span() != rank) continue;
    const int64_t local = id % layer.span();
    const Expert e = local < layer.block ? routed_expert(rank * layer.block + local) : shared_expert(local - layer.block);
    sum += relate::number_of(out.weights[i], c.weights_dtype) * (e * token(t));
  }
  return sum;
}

// The case as a layer of ranks calls it: its sizes, dtypes, source, layout and seed, with the routing of a healthy router.
Case routed_case(const Case& c, const Layer& layer, Choices& choices) {
  Case out = c;
  out.tokens = std::min<int64_t>(c.tokens, 16);
  out.top_k = std::min<int64_t>(c.top_k, 8);
  out.shared = layer.shared;
  out.hidden = std::min<int64_t>(c.hidden, 64);
  out.remap = layer.block;
  for (std::vector<uint64_t>& bits : out.literal) bits.clear();
  out.weights = ValueClass::kRouter;
  out.shared_values = c.source == TWINCHECK_WEIGHTS ? ValueClass::kRouter : ValueClass::kNearZero;
  std::vector<uint64_t>& ids = out.literal[static_cast<std::size_t>(Operand::kTopkIds)];
  for (int64_t i = 0; i < out.tokens * out.top_k; ++i)
    ids.push_back(choices.chance(1, 16) ? ~uint64_t{0} : choices.below(static_cast<uint64_t>(layer.ranks * layer.block)));
  relate::refit(out);
  return out;
}

}  // namespace

Law moe_layer() {
  return {
      .name = "moe_layer",
      .line = __LINE__,
      .sentence =
          "a tiny MoE run from the fused ids and weights, added up over the ranks, is its routed and shared experts apart",
      .domain = {.validity = Validity::kValid, .sparse = false, .wide_ids = false, .max_tokens = 32},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("moe_layer", candidate, bench);
            if (!session.given(c)) return session.report();
            const Layer layer{choices.between(1, 4), choices.between(1, 5), std::min<int64_t>(c.shared, 4)};
            static constexpr float kFactors[] = {1, 2.5, 0.5};
            const float factor = c.source == TWINCHECK_WEIGHTS ? 1 : kFactors[choices.below(std::size(kFactors))];
            auto fused = relate::literalize(routed_case(c, layer, choices));
            if (!fused) {
              session.too_large();
              return session.report();
            }
            const double ranks = static_cast<double>(layer.ranks);
            if (c.source != TWINCHECK_WEIGHTS)
              fused->scale_bits = std::bit_cast<uint32_t>(factor / static_cast<float>(layer.ranks));
            std::vector<Token> sums(static_cast<std::size_t>(fused->tokens), Token::Zero());
            for (int64_t r = 0; r < layer.ranks; ++r) {
              fused->base_id = r * layer.span() + layer.block;
              Outputs out;
              if (!session.related(*fused, out, fmt::format("rank {} of {}, L={}", r, layer.ranks, layer.block)))
                return session.report();
              for (int64_t t = 0; t < fused->tokens; ++t)
                sums[static_cast<std::size_t>(t)] += on_rank(layer, *fused, out, r, t);
            }

            // Apart: every expert once, the shared ones with the whole factor. `weights` were divided by the caller.
            Case undivided = *fused;
            if (c.source != TWINCHECK_WEIGHTS) undivided.scale_bits = std::bit_cast<uint32_t>(factor);
            const double whole = c.source == TWINCHECK_WEIGHTS ? ranks : 1;
            const std::vector<uint64_t>& weights = fused->literal[static_cast<std::size_t>(Operand::kTopkWeights)];
            const double u = relate::unit_roundoff(c.weights_dtype);
            for (int64_t t = 0; t < fused->tokens; ++t) {
              Token right = Token::Zero(), slack = Token::Constant(1e-12);
              for (int64_t k = 0; k < fused->top_k; ++k) {
                const int64_t e = relate::id_at(*fused, t, k);
                const auto bits = static_cast<uint32_t>(weights[static_cast<std::size_t>(t * fused->top_k + k)]);
                if (e >= 0) right += relate::number_of(bits, c.weights_dtype) * (routed_expert(e) * token(t));
              }
              for (int64_t s = 0; s < fused->shared; ++s) {
                const relate::SharedWeight w = relate::shared_weight(undivided, t, s);
                const Token y = shared_expert(s) * token(t);
                const double middle = whole * (w.lo + w.hi) / 2;
                right += middle * y;
                // The interval, the divided scale's rounding, and one rounding a rank.
                slack += y.cwiseAbs() * (whole * (w.hi - w.lo) / 2 + std::fabs(middle) * (u + 0x1p-23) * 1.01 +
                                         ranks * relate::smallest(c.weights_dtype));
              }
              const Token sum = sums[static_cast<std::size_t>(t)];
              for (int i = 0; i < kWidth; ++i) {
                if (std::fabs(sum(i) - right(i)) <= slack(i)) continue;
                session.fail(
                    fmt::format("{} ranks, L={}, S={}: the layer's output[token={}][{}] is {:.9g}, and {:.9g} (within "
                                "{:.3g}) with the experts apart",
                                layer.ranks, layer.block, layer.shared, t, i, sum(i), right(i), slack(i)));
                return session.report();
              }
            }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
