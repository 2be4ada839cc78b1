// Rows that start past 2^31 elements, in an allocation that holds all of the matrix: 9 GB of i32, 17 GB of i64
// (TransformerEngine#2908, DLBlas#171, Liger-Kernel#1248). Elsewhere such rows lie in pages of their own, and a stray access
// between them is a fault; here it lands in memory that is there.
#include "harness/judge/device.h"
#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {
namespace {

// The case with that matrix's last row there; false where it has none of its own.
bool take_far(Case& c, Operand o) {
  if (o == Operand::kGate || !is_used(c, o) || implied_matrix_of(c, o).cols == 0 || c.tokens < 2) return false;
  c.of(o).row_stride = (int64_t{1} << 31) / (c.tokens - 1) + 1 + static_cast<int64_t>(c.seed % 7);
  return true;
}

// One matrix after the other, since together they are more than a device has.
Report check_far(const Case& c, const Candidate& candidate, Bench& whole) {
  const Case tight = relate::with_layout_tight(c);
  Report report;
  for (int i = 0; i < kOperands && report.verdict == Verdict::kPassed; ++i) {
    Case far = tight;
    if (!take_far(far, static_cast<Operand>(i))) continue;
    const Report one = check(far, candidate, whole);
    const int64_t ids = report.ids_compared, weights = report.weights_compared;
    report = one;
    report.ids_compared += ids;
    report.weights_compared += weights;
  }
  return report;
}

}  // namespace

Law far_offsets() {
  return {
      .name = "far_offsets",
      .line = __LINE__,
      .sentence = "rows past 2^31 elements are right in an allocation of the whole matrix too",
      .domain = {.validity = Validity::kValid, .odd_layouts = false, .max_tokens = 16},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            Device* const device = bench.device();
            if (device == nullptr) return check(c, candidate, bench);
            Bench whole(candidate.memory, uint64_t{64} << 20, device->index(), 1, DeviceLayout::kExact);
            return check_far(c, candidate, whole);
          },
      .cost = 10,
  };
}

}  // namespace twincheck::law
