// The interleaved expert layout has no holes and no collisions: each block of L routed ids is followed by its rank's S
// shared slots, and together they are every id there is.
#include <fmt/format.h>

#include <algorithm>

#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {

Law remap_tiles() {
  return {
      .name = "remap_tiles",
      .line = __LINE__,
      .sentence =
          "with base_id = r*(L+S)+L on rank r, routed images and shared ids tile [0, ranks*(L+S)); sentinels survive",
      .domain = {.validity = Validity::kValid, .sparse = false, .wide_ids = false},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("remap_tiles", candidate, bench);
            if (!session.given(c)) return session.report();
            Case tiled = c;
            const int64_t top_k = tiled.top_k = std::clamp<int64_t>(c.top_k, 1, 64);
            const int64_t shared = tiled.shared = std::min<int64_t>(c.shared, 64);
            const int64_t block = tiled.remap = choices.between(1, 12), ranks = choices.between(1, 4);
            const int64_t span = block + shared;
            // The first block: 0, or so far up that the last id is near the dtype's end.
            const int64_t first = choices.chance(1, 8) ? relate::largest_id(c.ids_dtype) / span - ranks : 0;
            const int64_t routed = ranks * block, sentinels = choices.between(0, 3);
            tiled.tokens = (routed + sentinels + top_k - 1) / top_k;
            std::vector<uint64_t>& ids = tiled.literal[static_cast<std::size_t>(Operand::kTopkIds)];
            ids.clear();
            for (int64_t i = 0; i < tiled.tokens * top_k; ++i)
              ids.push_back(static_cast<uint64_t>(i < routed ? first * block + i : -1 - choices.between(0, 1)));
            for (std::size_t i = ids.size() - 1; i > 0; --i) std::swap(ids[i], ids[choices.below(i + 1)]);
            relate::refit(tiled);

            std::vector<int> times(static_cast<std::size_t>(ranks * span), 0);
            const auto count = [&](int64_t id) {
              const int64_t at = id - first * span;
              if (at < 0 || at >= ranks * span) return false;
              return ++times[static_cast<std::size_t>(at)] == 1;
            };
            const std::string expected =
                fmt::format("an id of [{}, {}) that is nobody else's", first * span, (first + ranks) * span);
            std::vector<int64_t> image;
            for (int64_t r = 0; r < ranks; ++r) {
              tiled.base_id = (first + r) * span + block;
              Outputs out;
              if (!session.related(tiled, out, fmt::format("rank {} of {}, L={}, S={}", r, ranks, block, shared)))
                return session.report();
              for (int64_t t = 0; t < tiled.tokens; ++t) {
                for (int64_t slot = 0; slot < top_k + shared; ++slot) {
                  const auto i = static_cast<std::size_t>(t * out.columns + slot);
                  const bool is_shared = slot >= top_k;
                  const int64_t routed_id = is_shared ? 0 : relate::id_at(tiled, t, slot);
                  bool right = true;
                  if (routed_id < 0) {
                    right = out.ids[i] == routed_id;
                  } else if (is_shared && t > 0) {
                    right = out.ids[i] == out.ids[static_cast<std::size_t>(slot)];
                  } else if (!is_shared && r > 0) {
                    right = out.ids[i] == image[static_cast<std::size_t>(t * top_k + slot)];
                  } else {
                    right = count(out.ids[i]);
                  }
                  if (!is_shared && r == 0) image.push_back(out.ids[i]);
                  if (right) continue;
                  session.fail(fmt::format("rank {} of {}, L={}, S={}: out_ids[token={}][slot={}] is {}, expected {}", r,
                                           ranks, block, shared, t, slot, out.ids[i],
                                           routed_id < 0 ? fmt::format("the sentinel {}", routed_id) : expected));
                  return session.report();
                }
              }
            }
            for (std::size_t i = 0; i < times.size(); ++i)
              if (times[i] != 1) {
                session.fail(fmt::format("id {} of {} ranks, L={}, S={} is nobody's", first * span + static_cast<int64_t>(i),
                                         ranks, block, shared));
                break;
              }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
