// Shared experts may be appended in two steps. With a remap the second step counts the first one's slots to each block, and
// base_id must be some rank's first shared slot, so that the second step moves the first one's ids to where they belong.
#include <fmt/format.h>

#include <algorithm>

#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {
namespace {

// Columns [first, first + count) of the shared experts alone.
Case with_shared(const Case& c, int64_t first, int64_t count) {
  Case out = c;
  out.shared = count;
  std::vector<uint64_t>& to = out.literal[static_cast<std::size_t>(Operand::kShared)];
  const std::vector<uint64_t>& from = c.literal[static_cast<std::size_t>(Operand::kShared)];
  if (!c.broadcast && !from.empty()) {
    to.clear();
    for (int64_t t = 0; t < c.tokens; ++t)
      for (int64_t s = first; s < first + count; ++s)
        to.push_back(from[static_cast<uint64_t>(t * c.shared + s) % from.size()]);
  }
  return out;
}

}  // namespace

Law shared_splits() {
  return {
      .name = "shared_splits",
      .line = __LINE__,
      .sentence = "appending S1 shared experts, then S2 from base_id + S1 on, equals appending S1 + S2",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("shared_splits", candidate, bench);
            if (!session.given(c)) return session.report();
            Case sized = c;
            if (sized.shared < 2) sized.shared = choices.between(2, 5);
            const int64_t last = relate::largest_id(c.ids_dtype) - sized.shared;
            int64_t rank = 0;
            if (c.remap > 0) {
              const int64_t most = c.remap <= last - sized.shared ? (last - c.remap) / (c.remap + sized.shared) : -1;
              if (most < 0)
                sized.remap = 0;
              else
                rank = choices.between(0, std::min<int64_t>(3, most));
            }
            sized.base_id = sized.remap > 0 ? rank * (sized.remap + sized.shared) + sized.remap : std::min(c.base_id, last);
            relate::refit(sized);
            const auto whole = relate::literalize(sized);
            if (!whole) {
              session.too_large();
              return session.report();
            }
            const int64_t s1 = choices.between(0, sized.shared), s2 = sized.shared - s1;
            Outputs of_whole, of_first, of_both;
            Case first = with_shared(*whole, 0, s1);
            if (first.remap > 0) first.base_id = rank * (first.remap + s1) + first.remap;
            relate::refit(first);
            if (!session.related(*whole, of_whole, fmt::format("{} shared experts at once", sized.shared)) ||
                !session.related(first, of_first, fmt::format("the first {} of {} shared experts", s1, sized.shared)))
              return session.report();
            Case second = with_shared(*whole, s1, s2);
            second.top_k += s1;
            second.base_id += s1;
            if (second.remap > 0) second.remap += s1;
            std::vector<uint64_t>& ids = second.literal[static_cast<std::size_t>(Operand::kTopkIds)];
            std::vector<uint64_t>& weights = second.literal[static_cast<std::size_t>(Operand::kTopkWeights)];
            ids.assign(of_first.ids.begin(), of_first.ids.end());
            weights.assign(of_first.weights.begin(), of_first.weights.end());
            relate::refit(second);
            if (!session.related(second, of_both, fmt::format("{} more shared experts after {}", s2, s1)))
              return session.report();
            // Judged by the slots of the whole: an id that leaves the dtype there was anything after the first step.
            for (int64_t t = 0; t < c.tokens; ++t)
              if (!session.agree({second, of_both, t}, {*whole, of_whole, t}, of_whole.columns, "as appended in two steps"))
                break;
            return session.report();
          },
  };
}

}  // namespace twincheck::law
