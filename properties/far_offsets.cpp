// Rows that start past 2^31 and past 2^32 elements, in an allocation that holds all of the matrix: 9 to 34 GB
// (TransformerEngine#2908, DLBlas#171, Liger-Kernel#1248). Elsewhere such rows lie in pages of their own, and a stray access
// between them is a fault; here it lands in memory that is there.
#include <algorithm>

#include "harness/judge/device.h"
#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {
namespace {

constexpr int64_t kWide = 140'000;  // elements of a matrix of which a kernel may take another path, one of vectors

// The case in one of four forms, by its seed: past 2^31 or 2^32, with rows as they are or wide ones. Tight, two rows or
// more.
struct Form {
  Case tight;
  int64_t reach;    // elements
  int64_t rounded;  // strides are multiples of it
};
Form form_of(const Case& c) {
  const bool wide = (c.seed & 2) != 0;
  Form form{relate::with_layout_tight(c), int64_t{1} << ((c.seed & 1) != 0 ? 32 : 31), wide ? 16 : 1};
  if (!wide && c.tokens >= 2) return form;
  form.tight.tokens = std::max<int64_t>(c.tokens, 2);
  if (wide) form.tight.top_k = kWide / form.tight.tokens;
  for (std::vector<uint64_t>& literal : form.tight.literal) literal.clear();
  return form;
}

// The case with that matrix's last row there; false where it has none of its own.
bool take_far(const Form& form, Case& c, Operand o) {
  if (o == Operand::kGate || !is_used(c, o) || implied_matrix_of(c, o).cols == 0) return false;
  const int64_t stride = form.reach / (c.tokens - 1) + 1 + static_cast<int64_t>(c.seed % 7);
  c.of(o).row_stride = (stride + form.rounded - 1) / form.rounded * form.rounded;
  return true;
}

// One matrix after the other, since together they are more than a device has.
Report check_far(const Form& form, const Candidate& candidate, Bench& whole) {
  Report report;
  for (int i = 0; i < kOperands && report.verdict == Verdict::kPassed; ++i) {
    Case far = form.tight;
    if (!take_far(form, far, static_cast<Operand>(i))) continue;
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
      .sentence = "rows past 2^31 and 2^32 elements are right in an allocation of the whole matrix too",
      .domain = {.validity = Validity::kValid, .odd_layouts = false, .max_tokens = 16},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            Device* const device = bench.device();
            if (device == nullptr) return check(c, candidate, bench);
            Bench whole(candidate.memory, uint64_t{64} << 20, device->index(), 1, DeviceLayout::kExact);
            return check_far(form_of(c), candidate, whole);
          },
      .cost = 6,
  };
}

}  // namespace twincheck::law
