// Case: everything that defines one input of the operation, valid or not. Values are bits, never floats.
//
// A Case is one line of text (the command line, messages, *.case files) and a string of bytes (libFuzzer). It has sizes,
// layouts and data of the seven matrices; judge/ turns it into memory and an argument struct.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "contract/words.h"

namespace twincheck {

enum class Operand : uint8_t { kTopkIds, kTopkWeights, kShared, kHidden, kGate, kOutIds, kOutWeights };
inline constexpr int kOperands = 7;
inline constexpr int kInputs = 5;  // the first five
inline constexpr std::array<std::string_view, kOperands> kOperandNames{"topk_ids", "topk_weights", "shared",     "hidden",
                                                                       "gate",     "out_ids",      "out_weights"};

// How an input is filled (values.h); the words are values.h's kIdClassNames and kValueClassNames.
enum class IdClass : uint8_t {
  kDistinct,     // routed ids, distinct within a token, unsorted, in [0, base_id), or [0, 2^20) where base_id < K
  kDuplicates,   // few distinct ids
  kPadding,      // every id -1
  kSomePadding,  // whole rows of -1 among distinct rows
  kSentinels,    // single -1 among distinct ids, and other negative ids
  kLimits,       // the dtype's ends and their neighbours
  kLarge,        // above 2^16 and, where the dtype allows, around and above 2^31
};
inline constexpr int kIdClasses = 7;

enum class ValueClass : uint8_t {
  kRouter,       // in (0, 1]; topk_weights of two or more columns: softmax-like, a token's sum 1 before rounding
  kBits,         // uniform bit patterns
  kHalfway,      // halfway cases of each narrower conversion, and their neighbours
  kSubnormal,    // subnormals and the smallest normals, both signs
  kNan,          // NaNs of every kind of payload and sign among numbers
  kInfinite,     // infinities and the largest finite values among numbers
  kZero,         // +0 and -0
  kSpread,       // uniform over [-110, 110]
  kNearZero,     // clustered at 0, as logits are
  kSpecials,     // the special values of the dtype, cycling through the positions, starting at seed
  kConsecutive,  // the bit patterns from seed on, one after another, as a sweep has them
};
inline constexpr int kValueClasses = 11;

// Which half of in-place: bit 0, topk_ids is the left part of out_ids; bit 1, topk_weights that of out_weights. Such an
// input has no buffer of its own: its own pointer is the output's (offset and place are the output's too), and so is its row
// stride unless its layout gives another (a defect where it has more than one row).
enum class InPlace : uint8_t { kNone = 0, kIds = 1, kWeights = 2, kBoth = 3 };

// Where a buffer lies relative to inaccessible pages.
enum class Place : uint8_t { kMiddle, kEnd, kBegin };  // kEnd: its last byte is the last before an inaccessible page

// A pointer that is not the operand's own: buffers always have the place and extent that the sizes imply. An input that lies
// in another's buffer holds what is there: neither its class nor its literal is used.
enum class Pointer : uint8_t {
  kOwn,
  kNull,
  kSkewed,  // own pointer plus pointer_bytes, which need not be a multiple of the element
  kInto,    // pointer_operand's own pointer plus pointer_bytes
};

// One matrix: its layout, and what makes the struct differ from what the sizes imply (the fields that hold a value). Valid
// cases may differ too, where the operation promises not to look: all but rows and cols of an unused matrix, the pointer of
// an empty one, the row stride of one row.
struct Layout {
  std::optional<int64_t> row_stride;  // elements; tight (= cols) where absent
  uint32_t offset = 0;                // elements by which the first one lies past a 256-byte boundary; kMiddle only
  Place place = Place::kMiddle;
  std::optional<int64_t> rows, cols;  // overrides, for invalid structs
  std::optional<int32_t> dtype;       // override: any number
  Pointer pointer = Pointer::kOwn;
  Operand pointer_operand = Operand::kTopkIds;
  int64_t pointer_bytes = 0;

  bool operator==(const Layout&) const = default;
};

// Any values are a case: numbers of any size and sign, dtypes without a meaning. Enumerations hold one of their enumerators.
struct Case {
  int32_t source = 0;                                     // twincheck_source, or any number in an invalid case
  int64_t tokens = 0, top_k = 0, shared = 0, hidden = 0;  // T, K, S, H; H is 0 unless source is gate
  Dtype ids_dtype = Dtype::kI32;
  Dtype weights_dtype = Dtype::kF32;
  Dtype shared_dtype = Dtype::kF32;  // of shared, or of hidden and gate
  bool broadcast = false;            // shared is [T, 1] (differs from [T, S] where S != 1)
  InPlace in_place = InPlace::kNone;
  uint32_t scale_bits = 0x3f800000;   // f32
  int64_t base_id = 0;                // B
  int64_t remap = 0;                  // L
  std::optional<uint32_t> args_size;  // override of the struct's size field

  std::array<Layout, kOperands> layout;  // indexed by Operand

  // Data. Where `literal` of an input is empty, its elements come from the class and the seed.
  uint64_t seed = 0;
  IdClass ids = IdClass::kDistinct;
  ValueClass weights = ValueClass::kRouter;            // topk_weights
  ValueClass shared_values = ValueClass::kRouter;      // shared, or hidden and gate
  std::array<std::vector<uint64_t>, kInputs> literal;  // rows * cols elements' bits, row-major; indexed by Operand

  const Layout& of(Operand o) const { return layout[static_cast<std::size_t>(o)]; }
  Layout& of(Operand o) { return layout[static_cast<std::size_t>(o)]; }

  bool operator==(const Case&) const = default;
};

// Bytes of an element; 0 where the number is no dtype.
constexpr int64_t dtype_bytes(int32_t dtype) {
  switch (dtype) {
    case TWINCHECK_I64:
      return 8;
    case TWINCHECK_I32:
    case TWINCHECK_F32:
      return 4;
    case TWINCHECK_BF16:
    case TWINCHECK_F16:
      return 2;
    default:
      return 0;
  }
}

// The struct's matrix of each operand.
inline constexpr std::array<Matrix AppendArgs::*, kOperands> kMatrices{
    &AppendArgs::topk_ids, &AppendArgs::topk_weights, &AppendArgs::shared,     &AppendArgs::hidden,
    &AppendArgs::gate,     &AppendArgs::out_ids,      &AppendArgs::out_weights};

// An empty matrix is neither read nor written: its pointer and stride mean nothing.
constexpr bool is_empty(const Matrix& m) { return m.rows == 0 || m.cols == 0; }

// Whether the case's in_place puts the operand, an input, into its output's left columns.
constexpr bool is_in_place(const Case& c, Operand o) {
  const auto form = static_cast<unsigned>(c.in_place);
  return (o == Operand::kTopkIds && (form & static_cast<unsigned>(InPlace::kIds)) != 0) ||
         (o == Operand::kTopkWeights && (form & static_cast<unsigned>(InPlace::kWeights)) != 0);
}

// Whether the case's source reads the operand. A source without a name reads topk_ids and topk_weights.
bool is_used(const Case& c, Operand o);

// The struct's matrix for an operand as the case's fields and overrides give it, data = null. `rows`, `cols`, `row_stride`
// and `dtype` are what the candidate will be told; an operand that the source does not use is all zeros but for overrides.
Matrix matrix_of(const Case& c, Operand o);

// The same before overrides of rows, cols and dtype: the shape that the case's sizes imply. Sizes are taken as they are,
// negative ones too; K + S saturates at the ends of int64.
Matrix implied_matrix_of(const Case& c, Operand o);

// One line: `append source=weights tokens=2 top_k=8 shared=1 ...`, fields in a fixed order under the names of Case's
// members, those at their default left out (source, tokens, top_k and shared are always there). A field of a matrix is
// OPERAND.FIELD=VALUE:
//
//   topk_ids.row_stride=16  topk_ids.offset=3  out_ids.place=end  shared.cols=9  gate.dtype=bf16 (or a number)
//   gate.pointer=null  hidden.pointer=skewed+1  shared.pointer=topk_weights+0  topk_ids.bits=[0x1,0x2]
//
// parse(text(c)) == c.
std::string text(const Case& c);

// The same with every field of the case, those that have their defaults included; fields of matrices as in text().
std::string full_text(const Case& c);

// Is it the name of a field, as "tokens" or "out_ids.row_stride"?
bool is_field(std::string_view name);

// Where and why a text is not a case. Column counts from 1.
struct ParseError : std::runtime_error {
  ParseError(std::size_t at, const std::string& what) : std::runtime_error(what), column(at) {}
  std::size_t column;
};

// Inverse of text. Fields may come in any order, once each; integers may be decimal or hexadecimal; scale may be f32 bits in
// hexadecimal or a decimal number, rounded to nearest. Throws ParseError: what was found and what would have been right.
// Memory is proportional to line.size().
Case parse(std::string_view line);

// decode(encode(c)) == c, and decode is total: every byte string is some case. Sizes are not bounded here; memory use is
// at most proportional to bytes.size().
std::vector<uint8_t> encode(const Case& c);
Case decode(std::span<const uint8_t> bytes);

// A file of cases: one a line, `#` starts a comment, blank lines ignored. More than one line is a sequence, run in order
// over the same buffers. `origin` names the file in errors.
struct CaseFile {
  std::vector<Case> cases;
  std::vector<std::size_t> lines;  // the line number of each, from 1
  std::string law;                 // from the first comment `# law: NAME`, empty where absent
};
struct FileError : std::runtime_error {
  using std::runtime_error::runtime_error;  // "FILE:LINE:COLUMN: found ..., expected ...", or "FILE: ..."
};
CaseFile parse_file(std::string_view contents, std::string_view origin);
CaseFile read_file(const std::string& path);  // FileError also where it cannot be read

}  // namespace twincheck
