// The data of a case: literal bits, or a class and a seed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "harness/case/case.h"

namespace twincheck {

inline constexpr std::array<std::string_view, kIdClasses> kIdClassNames{"distinct",  "duplicates", "padding", "some_padding",
                                                                        "sentinels", "limits",     "large"};
inline constexpr std::array<std::string_view, kValueClasses> kValueClassNames{
    "router", "bits", "halfway", "subnormal", "nan", "infinite", "zero", "spread", "near_zero", "specials"};

// Writes rows [first, first + rows) of an input, tight (cols elements a row, element size of its dtype), at `dst`.
// cols and dtype are those of implied_matrix_of; element (r, c) is a pure function of the case, the operand, r and c, so a
// batch can be written in pieces. Literal data shorter than rows * cols repeats; where empty, the class and seed decide.
void fill(const Case& c, Operand input, int64_t first, int64_t rows, void* dst);

}  // namespace twincheck
