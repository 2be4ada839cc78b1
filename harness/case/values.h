// The data of a case: literal bits, or a class and a seed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "harness/case/case.h"

namespace twincheck {

inline constexpr std::array<std::string_view, kIdClasses> kIdClassNames{"distinct",  "duplicates", "padding", "some_padding",
                                                                        "sentinels", "limits",     "large"};
inline constexpr std::array<std::string_view, kValueClasses> kValueClassNames{
    "router", "bits", "halfway", "subnormal", "nan", "infinite", "zero", "spread", "near_zero", "specials", "consecutive"};

// Writes rows [first, first + rows) of an input, tight (cols elements a row, element size of its dtype), at `dst`.
// cols and dtype are those of implied_matrix_of; element (r, c) is a pure function of the case, the operand, r and c, so a
// batch can be written in pieces. Literal data shorter than rows * cols repeats, and a literal's bits above the element's
// size are dropped; where it is empty, the class and seed decide. Writes nothing where cols <= 0 or the dtype is none.
void fill(const Case& c, Operand input, int64_t first, int64_t rows, void* dst);

// The values that class kSpecials cycles through: element (r, c) is specials(dtype)[(r * cols + c + seed) % size]. Zeros,
// subnormals, the smallest normal and largest finite numbers, infinities and NaNs (quiet, signalling, with payloads) of both
// signs; what rounds halfway, up to infinity or down to zero in a narrower dtype; and logits at which a sigmoid overflows,
// saturates or vanishes. The same number of values in every dtype (f32, bf16, f16).
inline constexpr std::size_t kSpecials = 48;
std::span<const uint32_t, kSpecials> specials(Dtype dtype);

}  // namespace twincheck
