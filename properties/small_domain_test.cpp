// The exhaustive small domain finds a candidate that is wrong at exactly one of its points, wherever that is.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "harness/candidate/test/independent.h"
#include "harness/case/choices.h"
#include "harness/case/enumerate.h"
#include "harness/judge/check.h"

namespace twincheck {
namespace {

// All that a call says but its addresses, and where its buffers lie within a page.
uint64_t fingerprint(const AppendArgs& args) {
  uint64_t h = 1;
  const auto mix = [&h](uint64_t n) { h = (h ^ n) * 0x9e3779b97f4a7c15u + (h >> 31); };
  for (const Matrix* m :
       {&args.topk_ids, &args.topk_weights, &args.shared, &args.hidden, &args.gate, &args.out_ids, &args.out_weights}) {
    mix(reinterpret_cast<uintptr_t>(m->data) % 4096);
    mix(static_cast<uint64_t>(m->rows));
    mix(static_cast<uint64_t>(m->cols));
    mix(m->rows > 1 ? static_cast<uint64_t>(m->row_stride) : 0);
    mix(static_cast<uint64_t>(m->dtype));
  }
  mix(args.topk_ids.data == args.out_ids.data);
  mix(args.topk_weights.data == args.out_weights.data);
  mix(static_cast<uint64_t>(args.source));
  mix(static_cast<uint64_t>(args.base_id));
  mix(static_cast<uint64_t>(args.remap_local_routed));
  uint32_t scale;
  std::memcpy(&scale, &args.scale, sizeof scale);
  mix(scale);
  return h;
}

std::set<uint64_t> wrong_points;
uint64_t last_point;

// Right but at the wrong points, where the last appended id is one too large.
int32_t append(const AppendArgs* args) {
  const int32_t status = independent::append(*args).status;
  last_point = fingerprint(*args);
  const Matrix& out = args->out_ids;
  if (status != TWINCHECK_OK || !wrong_points.contains(last_point)) return status;
  const int64_t last = (out.rows - 1) * out.row_stride + out.cols - 1;
  if (out.dtype == TWINCHECK_I64) {
    ++static_cast<uint64_t*>(out.data)[last];
  } else {
    ++static_cast<uint32_t*>(out.data)[last];
  }
  return status;
}

TEST(SmallDomain, ACandidateWrongAtOnePointIsCaughtWhereverThatIs) {
  constexpr std::size_t kPoints = 50;
  Candidate candidate;
  candidate.name = "wrong_at_one_point";
  candidate.append = append;
  Bench bench;

  // Fifty points at random, among those that have an output to be wrong in.
  Choices choices = Choices::random(4);
  std::set<uint64_t> chosen, points;
  while (chosen.size() < kPoints) {
    const uint64_t index = choices.below(small_domain_size());
    const Case c = small_domain_case(index);
    if (c.tokens == 0 || c.shared == 0) continue;
    ASSERT_EQ(check(c, candidate, bench).verdict, Verdict::kPassed) << text(c);
    chosen.insert(index);
    points.insert(last_point);
  }
  ASSERT_EQ(points.size(), kPoints) << "two points of the domain look alike to a candidate";

  // Each is wrong at its own point alone (and at those that differ from it in data only), so one enumeration tries all
  // fifty.
  wrong_points = points;
  std::set<uint64_t> caught;
  for (uint64_t index = 0; index < small_domain_size(); ++index) {
    const Report r = check(small_domain_case(index), candidate, bench);
    if (r.verdict == Verdict::kPassed) continue;
    ASSERT_EQ(r.law, promise::kAppendedIds) << r.detail << "\n" << text(small_domain_case(index));
    caught.insert(index);
  }
  wrong_points.clear();
  for (const uint64_t index : chosen) EXPECT_TRUE(caught.contains(index)) << text(small_domain_case(index));
}

}  // namespace
}  // namespace twincheck
