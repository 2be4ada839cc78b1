// What the laws share: the data of a case as literal bits, cases made of other cases, and a session of calls whose outputs
// are related to each other.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/candidate/candidate.h"
#include "harness/case/case.h"
#include "harness/case/choices.h"
#include "harness/judge/check.h"
#include "harness/report/verdict.h"

namespace twincheck::relate {

// Beyond this many input elements a case is not held as literal bits, and a law that needs them is kTooLarge for it.
inline constexpr int64_t kMaxElements = int64_t{1} << 22;

// ---- numbers, written for the laws alone: they must show a mistake of the reference too

// The number that the bits of an f32, bf16 or f16 are.
double number_of(uint32_t bits, Dtype dtype);
bool is_nan(uint32_t bits, Dtype dtype);

// Bits of the number rounded to nearest even; beyond the largest, infinity. Not for NaN.
uint32_t round_to(double number, Dtype dtype);

// The same number as f32 bits: exact from every dtype. A NaN stays one.
uint32_t widen(uint32_t bits, Dtype dtype);

// Half of the distance from 1 to the next number, and the smallest positive number.
double unit_roundoff(Dtype dtype);
double smallest(Dtype dtype);
double smallest_normal(Dtype dtype);

// "0x3f00 (0.5)"
std::string show(uint32_t bits, Dtype dtype);

// ---- data

// The elements of a used input as a candidate reads them, row-major, in its dtype's bits. False where they are not the
// case's to say (a pointer past the rows of another operand), or are more than kMaxElements.
bool elements(const Case& c, Operand input, std::vector<uint64_t>& out);

// The case with the data of every used input as literal bits; inputs that shared another's buffer get their own. nullopt
// where elements() is false for one.
std::optional<Case> literalize(const Case& c);

// The id at [token, k] of a literal case's topk_ids.
int64_t id_at(const Case& literal, int64_t token, int64_t k);

// Whether nothing is promised of that element of out_ids: the remapped id leaves the dtype. False for an appended slot.
bool is_free_id(const Case& literal, int64_t token, int64_t slot);

inline int64_t largest_id(Dtype ids) { return ids == Dtype::kI64 ? INT64_MAX : INT32_MAX; }

// ---- cases made of cases. All take and give literal cases, whose rows repeat where there are fewer than tokens.

// The tokens `rows` of it, in that order; layouts are kept as far as they fit.
Case select_rows(const Case& c, std::span<const int64_t> rows);

// The tokens of a, then those of b, laid out like a. Everything but tokens and rows' data is a's.
Case concat(const Case& a, const Case& b);

// Every matrix its own, tight and aligned, nothing in place.
Case with_layout_tight(Case c);

// Other strides, offsets, places and in-place forms of the same data. Seldom sparse.
Case with_layout_drawn(Choices& choices, Case c);

// Drops what of the layouts no longer fits after sizes, source or dtypes were changed: the case is valid if its tight form
// is.
void refit(Case& c);

// ---- calls

// One place in the outputs of a call.
struct Slots {
  const Case& c;  // literal, where L > 0
  const Outputs& outputs;
  int64_t token = 0, slot = 0;
};

// For tests of the laws: while one lives, the laws do not hear what check() says of the outputs' values. What they find
// then, they find without the reference.
class Blindfold {
 public:
  Blindfold();
  ~Blindfold();
  Blindfold(const Blindfold&) = delete;
  Blindfold& operator=(const Blindfold&) = delete;
};

// The calls of one run of a law. A law ends with report() as soon as a member answers false.
class Session {
 public:
  Session(std::string_view law, const Candidate& candidate, Bench& bench)
      : law_(law), candidate_(candidate), bench_(bench) {}

  // Judges the case that the law was given. True if it is valid and passed.
  bool given(const Case& c, Outputs& out);
  bool given(const Case& c);

  // Judges a case made from it, that must be valid too: `what` says how it was made. What check() finds broken ends the law
  // as check() reports it, with `what` before its detail.
  bool related(const Case& c, Outputs& out, std::string_view what);

  // Do `columns` slots from `got` on hold what those from `expected` on do? Ids and weights, bit for bit; what nothing is
  // promised of is left out: ids that leave the dtype, and for a candidate without exact_status the bits of bounded weights
  // and of a converted NaN. `why` says why they should.
  bool agree(const Slots& expected, const Slots& got, int64_t columns, std::string_view why);

  // The same of two calls of one case: not even a bounded weight or a NaN may differ.
  bool same_bits(const Slots& expected, const Slots& got, int64_t columns, std::string_view why);

  // Judges a case that must be refused. False where it is not, or not as it should be.
  bool refused(const Case& c, std::string_view what);

  // The law is broken. Always false.
  bool fail(std::string detail);
  bool fail_id(const Slots& at, int64_t expected, std::string_view why);
  bool fail_weight(const Slots& at, const std::string& expected, std::string_view why);

  // A verdict of its own (kTooLarge). Always false.
  bool end(Verdict verdict, std::string detail);
  bool too_large() { return end(Verdict::kTooLarge, "more input elements than a law holds as literal bits"); }

  bool strict() const { return candidate_.exact_status; }
  const Candidate& candidate() const { return candidate_; }
  Bench& bench() { return bench_; }
  Report& report() { return report_; }

 private:
  bool judged(const Case& c, Outputs& out, std::string_view what);
  bool compare(const Slots& expected, const Slots& got, int64_t columns, std::string_view why, bool every_bit);
  bool fail_at(bool is_weight, const Slots& at, std::string expected, std::string got, std::string_view why);

  std::string_view law_;
  const Candidate& candidate_;
  Bench& bench_;
  Report report_;
};

}  // namespace twincheck::relate
