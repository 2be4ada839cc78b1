// What the bench times: cases that differ in tokens, sizes, dtypes, source and layout, and what each has to move.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/case/case.h"

namespace twincheck::bench {

enum class LayoutClass : uint8_t {
  kTight,
  kStrided,  // each row stride is the columns and at least one more, up to the next multiple of 16 bytes
  kUneven,   // each row stride is the columns and one more, two where that is a multiple of 16 bytes
  kInPlace,  // both inputs are the left columns of their output
  kOdd,      // tight; the first element of every matrix lies one past a 256-byte boundary
};
inline constexpr int kLayoutClasses = 5;
inline constexpr const char* kLayoutClassNames[kLayoutClasses] = {"tight", "strided", "uneven", "in_place", "odd"};

// Every list is a dimension; the shapes are their product, tokens running fastest.
struct ShapeLists {
  std::vector<int64_t> tokens, top_k{10}, shared{1}, hidden{7168};
  std::vector<Dtype> ids{Dtype::kI32}, weights{Dtype::kF32}, values{Dtype::kBf16};  // values: of shared, or hidden and gate
  std::vector<Source> sources{Source::kWeights};
  std::vector<LayoutClass> layouts{LayoutClass::kTight};
};

// "1,64,512..514,1024..1048576*4": numbers from 0, ranges, and ranges in geometric steps (whose end is included where a step
// meets it). Throws std::invalid_argument: what was found and what would have been right.
std::vector<int64_t> parse_numbers(std::string_view text);

// The cases of `lists`, each valid. `hidden` counts for source gate alone, `values` for the sources that read some. seed: of
// the data.
std::vector<Case> shapes_of(const ShapeLists& lists, uint64_t seed);

// The case in a few words, the tokens left out: what a curve over tokens is labelled with. "top_k=10 shared=1 i32 f32,
// weights bf16, tight"
std::string label_of(const Case& c);

// The bytes that must be moved, whatever the kernel: of every input that is read and every output that is written, the
// 32-byte sectors that hold an element of it, each once; and once more those that are written in part, which the memory
// reads to complete them (docs/performance.md).
uint64_t bytes_to_move(const Case& c);

}  // namespace twincheck::bench
