#include "harness/case/classes.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>

namespace twincheck {
namespace {

using enum Population;
constexpr uint16_t kLayout = kNeedsOddLayouts;
constexpr uint16_t kRowsLayout = kNeedsOddLayouts | kNeedsTokens;

constexpr std::array<Class, kClasses> kTable{{
    {"source", "constant", kAll, 0.15, kNeedsAllSources},
    {"source", "weights", kAll, 0.15, kNeedsAllSources},
    {"source", "logits", kAll, 0.15, kNeedsAllSources},
    {"source", "gate", kAll, 0.15, kNeedsAllSources},
    {"validity", "valid", kAll, 0.8, kNeedsBoth},
    {"validity", "invalid", kAll, 0.042, kNeedsBoth},
    {"tokens", "0", kValid, 0.016, kNeedsTokens},
    {"tokens", "1", kValid, 0.032, kNeedsTokens},
    {"tokens", "2..9", kValid, 0.2, kNeedsTokens},
    {"tokens", "10..32", kValid, 0.17, kNeedsTokens},
    {"tokens", "33..64", kValid, 0.082, kNeedsTokens},
    {"tokens", "65..", kValid, 0.0019, kNeedsTokens},
    {"tokens_step", "multiple_of_32", kValid, 0.015, kNeedsTokens},
    {"tokens_step", "one_more", kValid, 0.011, kNeedsTokens},
    {"tokens_step", "one_less", kValid, 0.015, kNeedsTokens},
    {"tokens_step", "other", kValid, 0.41, kNeedsTokens},
    {"top_k", "0", kValid, 0.024, kNeedsNothing},
    {"top_k", "1", kValid, 0.055, kNeedsNothing},
    {"top_k", "2..8", kValid, 0.24, kNeedsNothing},
    {"top_k", "9..16", kValid, 0.13, kNeedsNothing},
    {"top_k", "17..", kValid, 0.049, kNeedsNothing},
    {"top_k_form", "power_of_two", kValid, 0.2, kNeedsNothing},
    {"top_k_form", "other", kValid, 0.22, kNeedsNothing},
    {"shared", "0", kValid, 0.063, kNeedsNothing},
    {"shared", "1", kValid, 0.15, kNeedsNothing},
    {"shared", "2", kValid, 0.11, kNeedsNothing},
    {"shared", "3..", kValid, 0.18, kNeedsNothing},
    {"hidden", "0", kGate, 0.0024, kNeedsNothing},
    {"hidden", "1..16", kGate, 0.27, kNeedsNothing},
    {"hidden", "17..64", kGate, 0.16, kNeedsNothing},
    {"hidden", "65..300", kGate, 0.059, kNeedsNothing},
    {"hidden", "301..", kGate, 0.0039, kNeedsNothing},
    {"routed_dtypes", "i32+f32", kValid, 0.083, kNeedsNothing},
    {"routed_dtypes", "i32+bf16", kValid, 0.083, kNeedsNothing},
    {"routed_dtypes", "i32+f16", kValid, 0.084, kNeedsNothing},
    {"routed_dtypes", "i64+f32", kValid, 0.083, kNeedsNothing},
    {"routed_dtypes", "i64+bf16", kValid, 0.083, kNeedsNothing},
    {"routed_dtypes", "i64+f16", kValid, 0.083, kNeedsNothing},
    {"weights_dtypes", "f32>f32", kWeights, 0.056, kNeedsNothing},
    {"weights_dtypes", "f32>bf16", kWeights, 0.056, kNeedsNothing},
    {"weights_dtypes", "f32>f16", kWeights, 0.055, kNeedsNothing},
    {"weights_dtypes", "bf16>f32", kWeights, 0.056, kNeedsNothing},
    {"weights_dtypes", "bf16>bf16", kWeights, 0.055, kNeedsNothing},
    {"weights_dtypes", "bf16>f16", kWeights, 0.056, kNeedsNothing},
    {"weights_dtypes", "f16>f32", kWeights, 0.056, kNeedsNothing},
    {"weights_dtypes", "f16>bf16", kWeights, 0.055, kNeedsNothing},
    {"weights_dtypes", "f16>f16", kWeights, 0.055, kNeedsNothing},
    {"logits_dtypes", "f32>f32", kLogits, 0.056, kNeedsNothing},
    {"logits_dtypes", "f32>bf16", kLogits, 0.056, kNeedsNothing},
    {"logits_dtypes", "f32>f16", kLogits, 0.056, kNeedsNothing},
    {"logits_dtypes", "bf16>f32", kLogits, 0.056, kNeedsNothing},
    {"logits_dtypes", "bf16>bf16", kLogits, 0.056, kNeedsNothing},
    {"logits_dtypes", "bf16>f16", kLogits, 0.056, kNeedsNothing},
    {"logits_dtypes", "f16>f32", kLogits, 0.056, kNeedsNothing},
    {"logits_dtypes", "f16>bf16", kLogits, 0.056, kNeedsNothing},
    {"logits_dtypes", "f16>f16", kLogits, 0.055, kNeedsNothing},
    {"gate_dtypes", "f32>f32", kGate, 0.055, kNeedsNothing},
    {"gate_dtypes", "f32>bf16", kGate, 0.056, kNeedsNothing},
    {"gate_dtypes", "f32>f16", kGate, 0.056, kNeedsNothing},
    {"gate_dtypes", "bf16>f32", kGate, 0.056, kNeedsNothing},
    {"gate_dtypes", "bf16>bf16", kGate, 0.055, kNeedsNothing},
    {"gate_dtypes", "bf16>f16", kGate, 0.056, kNeedsNothing},
    {"gate_dtypes", "f16>f32", kGate, 0.055, kNeedsNothing},
    {"gate_dtypes", "f16>bf16", kGate, 0.056, kNeedsNothing},
    {"gate_dtypes", "f16>f16", kGate, 0.056, kNeedsNothing},
    {"weights_columns", "one_each", kWeights, 0.22, kNeedsNothing},
    {"weights_columns", "broadcast", kWeights, 0.072, kNeedsNothing},
    {"logits_columns", "one_each", kLogits, 0.22, kNeedsNothing},
    {"logits_columns", "broadcast", kLogits, 0.072, kNeedsNothing},
    {"scale", "1", kValid, 0.14, kNeedsAllSources},
    {"scale", "0", kValid, 0.0095, kNeedsAllSources},
    {"scale", "-0", kValid, 0.0094, kNeedsAllSources},
    {"scale", "negative", kValid, 0.042, kNeedsAllSources},
    {"scale", "tiny", kValid, 0.024, kNeedsAllSources},
    {"scale", "huge", kValid, 0.028, kNeedsAllSources},
    {"scale", "fraction", kValid, 0.11, kNeedsAllSources},
    {"scale", "other", kValid, 0.012, kNeedsAllSources},
    {"base_id", "0", kValid, 0.03, kNeedsNothing},
    {"base_id", "below_2^16", kValid, 0.29, kNeedsNothing},
    {"base_id", "below_2^31", kValid, 0.11, kNeedsNothing},
    {"base_id", "above_2^31", kValid, 0.038, kNeedsNothing},
    {"base_id", "at_the_limit", kValid, 0.03, kNeedsNothing},
    {"remap", "none", kValid, 0.44, kNeedsNothing},
    {"remap", "any", kValid, 0.024, kNeedsRemap},
    {"remap", "interleaved", kValid, 0.031, kNeedsRemap},
    {"remap", "wide", kValid, 0.0078, kNeedsRemap},
    {"in_place", "none", kValid, 0.34, kNeedsNothing},
    {"in_place", "ids", kValid, 0.054, kNeedsInPlace},
    {"in_place", "weights", kValid, 0.055, kNeedsInPlace},
    {"in_place", "both", kValid, 0.055, kNeedsInPlace},
    {"struct", "larger", kValid, 0.0079, kNeedsNothing},
    {"ids", "distinct", kValid, 0.22, kNeedsNothing},
    {"ids", "duplicates", kValid, 0.031, kNeedsWideIds},
    {"ids", "padding", kValid, 0.031, kNeedsNothing},
    {"ids", "some_padding", kValid, 0.031, kNeedsWideIds},
    {"ids", "sentinels", kValid, 0.063, kNeedsWideIds},
    {"ids", "limits", kValid, 0.062, kNeedsWideIds},
    {"ids", "large", kValid, 0.063, kNeedsWideIds},
    {"large_ids", "i32_above_2^16", kValid, 0.03, kNeedsWideIds},
    {"large_ids", "i64_above_2^31", kValid, 0.03, kNeedsWideIds},
    {"topk_weights", "router", kValid, 0.13, kNeedsNothing},
    {"topk_weights", "bits", kValid, 0.094, kNeedsNothing},
    {"topk_weights", "halfway", kValid, 0.062, kNeedsNothing},
    {"topk_weights", "subnormal", kValid, 0.031, kNeedsNothing},
    {"topk_weights", "nan", kValid, 0.031, kNeedsNothing},
    {"topk_weights", "infinite", kValid, 0.031, kNeedsNothing},
    {"topk_weights", "zero", kValid, 0.031, kNeedsNothing},
    {"topk_weights", "spread", kValid, 0.031, kNeedsNothing},
    {"topk_weights", "near_zero", kValid, 0.031, kNeedsNothing},
    {"topk_weights", "specials", kValid, 0.031, kNeedsNothing},
    {"topk_weights", "consecutive", kValid, 0.031, kNeedsNothing},
    {"shared_weights", "router", kWeights, 0.13, kNeedsNothing},
    {"shared_weights", "bits", kWeights, 0.093, kNeedsNothing},
    {"shared_weights", "halfway", kWeights, 0.063, kNeedsNothing},
    {"shared_weights", "subnormal", kWeights, 0.031, kNeedsNothing},
    {"shared_weights", "nan", kWeights, 0.031, kNeedsNothing},
    {"shared_weights", "infinite", kWeights, 0.031, kNeedsNothing},
    {"shared_weights", "zero", kWeights, 0.031, kNeedsNothing},
    {"shared_weights", "spread", kWeights, 0.032, kNeedsNothing},
    {"shared_weights", "near_zero", kWeights, 0.031, kNeedsNothing},
    {"shared_weights", "specials", kWeights, 0.032, kNeedsNothing},
    {"shared_weights", "consecutive", kWeights, 0.031, kNeedsNothing},
    {"shared_logits", "router", kLogits, 0.032, kNeedsNothing},
    {"shared_logits", "bits", kLogits, 0.031, kNeedsNothing},
    {"shared_logits", "halfway", kLogits, 0.031, kNeedsNothing},
    {"shared_logits", "subnormal", kLogits, 0.031, kNeedsNothing},
    {"shared_logits", "nan", kLogits, 0.031, kNeedsNothing},
    {"shared_logits", "infinite", kLogits, 0.031, kNeedsNothing},
    {"shared_logits", "zero", kLogits, 0.031, kNeedsNothing},
    {"shared_logits", "spread", kLogits, 0.12, kNeedsNothing},
    {"shared_logits", "near_zero", kLogits, 0.12, kNeedsNothing},
    {"shared_logits", "specials", kLogits, 0.031, kNeedsNothing},
    {"shared_logits", "consecutive", kLogits, 0.031, kNeedsNothing},
    {"hidden_and_gate", "router", kGate, 0.063, kNeedsNothing},
    {"hidden_and_gate", "bits", kGate, 0.032, kNeedsNothing},
    {"hidden_and_gate", "halfway", kGate, 0.031, kNeedsNothing},
    {"hidden_and_gate", "subnormal", kGate, 0.031, kNeedsNothing},
    {"hidden_and_gate", "nan", kGate, 0.031, kNeedsNothing},
    {"hidden_and_gate", "infinite", kGate, 0.031, kNeedsNothing},
    {"hidden_and_gate", "zero", kGate, 0.031, kNeedsNothing},
    {"hidden_and_gate", "spread", kGate, 0.032, kNeedsNothing},
    {"hidden_and_gate", "near_zero", kGate, 0.19, kNeedsNothing},
    {"hidden_and_gate", "specials", kGate, 0.031, kNeedsNothing},
    {"hidden_and_gate", "consecutive", kGate, 0.031, kNeedsNothing},
    {"row_stride", "tight", kValid, 0.37, kNeedsTokens},
    {"row_stride", "even", kValid, 0.18, kRowsLayout},
    {"row_stride", "odd", kValid, 0.25, kRowsLayout},
    {"row_stride", "power_of_two", kValid, 0.2, kRowsLayout},
    {"row_stride", "sparse", kValid, 0.0035, kRowsLayout | kNeedsSparse},
    {"strided_matrix", "topk_ids", kValid, 0.24, kRowsLayout},
    {"strided_matrix", "topk_weights", kValid, 0.24, kRowsLayout},
    {"strided_matrix", "shared", kValid, 0.091, kRowsLayout | kNeedsAllSources},
    {"strided_matrix", "hidden", kValid, 0.051, kRowsLayout | kNeedsAllSources},
    {"strided_matrix", "out_ids", kValid, 0.21, kRowsLayout},
    {"strided_matrix", "out_weights", kValid, 0.21, kRowsLayout},
    {"offset_bytes_mod_16", "0", kValid, 0.4, kNeedsNothing},
    {"offset_bytes_mod_16", "2", kValid, 0.057, kLayout},
    {"offset_bytes_mod_16", "4", kValid, 0.14, kLayout},
    {"offset_bytes_mod_16", "6", kValid, 0.057, kLayout},
    {"offset_bytes_mod_16", "8", kValid, 0.22, kLayout},
    {"offset_bytes_mod_16", "10", kValid, 0.057, kLayout},
    {"offset_bytes_mod_16", "12", kValid, 0.14, kLayout},
    {"offset_bytes_mod_16", "14", kValid, 0.057, kLayout},
    {"misaligned_matrix", "topk_ids", kValid, 0.16, kLayout},
    {"misaligned_matrix", "topk_weights", kValid, 0.21, kLayout},
    {"misaligned_matrix", "shared", kValid, 0.13, kLayout | kNeedsAllSources},
    {"misaligned_matrix", "hidden", kValid, 0.069, kLayout | kNeedsAllSources},
    {"misaligned_matrix", "gate", kValid, 0.071, kLayout | kNeedsAllSources},
    {"misaligned_matrix", "out_ids", kValid, 0.21, kLayout},
    {"misaligned_matrix", "out_weights", kValid, 0.27, kLayout},
    {"place", "middle", kValid, 0.46, kNeedsNothing},
    {"place", "end", kValid, 0.032, kLayout},
    {"place", "begin", kValid, 0.032, kLayout},
    {"not_read", "unused_matrix", kValid, 0.031, kLayout},
    {"not_read", "empty_pointer", kValid, 0.0027, kLayout},
    {"not_read", "one_row_stride", kValid, 0.0076, kLayout | kNeedsAllSources},
    {"not_read", "buffer_of_another", kValid, 0.0035, kLayout | kNeedsAllSources},
    {"defects", "one", kInvalid, 0.39, kNeedsNothing},
    {"defects", "several", kInvalid, 0.1, kNeedsNothing},
    {"negative_size", "shared", kInvalid, 0.0081, kNeedsAllSources},
    {"negative_size", "tokens", kInvalid, 0.0086, kNeedsNothing},
    {"negative_size", "top_k", kInvalid, 0.0085, kNeedsNothing},
    {"negative_size", "hidden", kInvalid, 0.0018, kNeedsAllSources},
    {"negative_rows", "topk_ids", kInvalid, 0.002, kNeedsNothing},
    {"negative_rows", "topk_weights", kInvalid, 0.0021, kNeedsNothing},
    {"negative_rows", "shared", kInvalid, 0.0022, kNeedsNothing},
    {"negative_rows", "hidden", kInvalid, 0.002, kNeedsNothing},
    {"negative_rows", "gate", kInvalid, 0.002, kNeedsNothing},
    {"negative_rows", "out_ids", kInvalid, 0.0023, kNeedsNothing},
    {"negative_rows", "out_weights", kInvalid, 0.0021, kNeedsNothing},
    {"negative_cols", "topk_ids", kInvalid, 0.0022, kNeedsNothing},
    {"negative_cols", "topk_weights", kInvalid, 0.0021, kNeedsNothing},
    {"negative_cols", "shared", kInvalid, 0.0018, kNeedsNothing},
    {"negative_cols", "hidden", kInvalid, 0.0021, kNeedsNothing},
    {"negative_cols", "gate", kInvalid, 0.0022, kNeedsNothing},
    {"negative_cols", "out_ids", kInvalid, 0.0023, kNeedsNothing},
    {"negative_cols", "out_weights", kInvalid, 0.0021, kNeedsNothing},
    {"bad_struct", "short", kInvalid, 0.0098, kNeedsShortStructs},
    {"bad_struct", "unknown_source", kInvalid, 0.0093, kNeedsAllSources},
    {"bad_dtype_pair", "ids", kInvalid, 0.011, kNeedsNothing},
    {"bad_dtype_pair", "weights", kInvalid, 0.011, kNeedsNothing},
    {"bad_dtype_pair", "shared", kInvalid, 0.0074, kNeedsAllSources},
    {"bad_dtype", "topk_ids", kInvalid, 0.0061, kNeedsNothing},
    {"bad_dtype", "topk_weights", kInvalid, 0.006, kNeedsNothing},
    {"bad_dtype", "shared", kInvalid, 0.0031, kNeedsAllSources},
    {"bad_dtype", "hidden", kInvalid, 0.0011, kNeedsAllSources},
    {"bad_dtype", "gate", kInvalid, 0.0013, kNeedsAllSources},
    {"bad_dtype", "out_ids", kInvalid, 0.0059, kNeedsNothing},
    {"bad_dtype", "out_weights", kInvalid, 0.0062, kNeedsNothing},
    {"other_rows", "topk_ids", kInvalid, 0.0033, kNeedsNothing},
    {"other_rows", "topk_weights", kInvalid, 0.0032, kNeedsNothing},
    {"other_rows", "shared", kInvalid, 0.0019, kNeedsAllSources},
    {"other_rows", "hidden", kInvalid, 0.00073, kNeedsAllSources},
    {"other_rows", "gate", kInvalid, 0.0007, kNeedsAllSources},
    {"other_rows", "out_ids", kInvalid, 0.0033, kNeedsNothing},
    {"other_rows", "out_weights", kInvalid, 0.0035, kNeedsNothing},
    {"other_cols", "topk_ids", kInvalid, 0.003, kNeedsNothing},
    {"other_cols", "topk_weights", kInvalid, 0.0031, kNeedsNothing},
    {"other_cols", "shared", kInvalid, 0.0017, kNeedsAllSources},
    {"other_cols", "hidden", kInvalid, 0.00059, kNeedsAllSources},
    {"other_cols", "gate", kInvalid, 0.00064, kNeedsAllSources},
    {"other_cols", "out_ids", kInvalid, 0.003, kNeedsNothing},
    {"other_cols", "out_weights", kInvalid, 0.003, kNeedsNothing},
    {"unused_shape", "shared", kInvalid, 0.0048, kNeedsAllSources},
    {"unused_shape", "hidden", kInvalid, 0.0052, kNeedsAllSources},
    {"unused_shape", "gate", kInvalid, 0.0049, kNeedsAllSources},
    {"unused_shape", "hidden_is_0", kInvalid, 0.013, kNeedsAllSources},
    {"bad_stride", "topk_ids", kInvalid, 0.022, kNeedsNothing},
    {"bad_stride", "topk_weights", kInvalid, 0.022, kNeedsNothing},
    {"bad_stride", "shared", kInvalid, 0.0079, kNeedsAllSources},
    {"bad_stride", "hidden", kInvalid, 0.0051, kNeedsAllSources},
    {"bad_stride", "out_ids", kInvalid, 0.016, kNeedsNothing},
    {"bad_stride", "out_weights", kInvalid, 0.016, kNeedsNothing},
    {"extent_overflow", "topk_ids", kInvalid, 0.032, kNeedsNothing},
    {"extent_overflow", "topk_weights", kInvalid, 0.03, kNeedsNothing},
    {"extent_overflow", "shared", kInvalid, 0.014, kNeedsAllSources},
    {"extent_overflow", "hidden", kInvalid, 0.0078, kNeedsAllSources},
    {"extent_overflow", "gate", kInvalid, 0.0034, kNeedsAllSources},
    {"extent_overflow", "out_ids", kInvalid, 0.035, kNeedsNothing},
    {"extent_overflow", "out_weights", kInvalid, 0.03, kNeedsNothing},
    {"bad_parameter", "scale_not_finite", kInvalid, 0.0096, kNeedsNothing},
    {"bad_parameter", "scale_of_weights", kInvalid, 0.01, kNeedsAllSources},
    {"bad_parameter", "remap", kInvalid, 0.01, kNeedsNothing},
    {"bad_parameter", "base_id", kInvalid, 0.0099, kNeedsNothing},
    {"bad_parameter", "top_k_plus_shared", kInvalid, 0.014, kNeedsNothing},
    {"id_overflow", "i32", kInvalid, 0.035, kNeedsNothing},
    {"id_overflow", "i64", kInvalid, 0.032, kNeedsNothing},
    {"null_pointer", "topk_ids", kInvalid, 0.012, kNeedsNothing},
    {"null_pointer", "topk_weights", kInvalid, 0.012, kNeedsNothing},
    {"null_pointer", "shared", kInvalid, 0.0059, kNeedsAllSources},
    {"null_pointer", "hidden", kInvalid, 0.0025, kNeedsAllSources},
    {"null_pointer", "gate", kInvalid, 0.0025, kNeedsAllSources},
    {"null_pointer", "out_ids", kInvalid, 0.012, kNeedsNothing},
    {"null_pointer", "out_weights", kInvalid, 0.012, kNeedsNothing},
    {"misaligned", "topk_ids", kInvalid, 0.012, kNeedsNothing},
    {"misaligned", "topk_weights", kInvalid, 0.012, kNeedsNothing},
    {"misaligned", "shared", kInvalid, 0.0059, kNeedsAllSources},
    {"misaligned", "hidden", kInvalid, 0.0027, kNeedsAllSources},
    {"misaligned", "gate", kInvalid, 0.0026, kNeedsAllSources},
    {"misaligned", "out_ids", kInvalid, 0.011, kNeedsNothing},
    {"misaligned", "out_weights", kInvalid, 0.011, kNeedsNothing},
    {"overlap", "outputs", kInvalid, 0.0067, kNeedsNothing},
    {"overlap", "interleaved_outputs", kInvalid, 0.017, kNeedsNothing},
    {"overlap", "output_and_input", kInvalid, 0.013, kNeedsNothing},
    {"overlap", "in_place_stride", kInvalid, 0.018, kNeedsInPlace},
    {"overlap", "in_place_remap", kInvalid, 0.018, kNeedsInPlace | kNeedsRemap},
}};

// The index of a field's first class. A field that the table lacks does not compile.
consteval std::size_t first_of(std::string_view field) {
  for (std::size_t i = 0; i < kClasses; ++i) {
    if (kTable[i].field == field) return i;
  }
  throw "no such field";
}

int64_t max_id(Dtype dtype) {
  return dtype == Dtype::kI64 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int32_t>::max();
}
bool is_id(int32_t dtype) { return dtype == TWINCHECK_I32 || dtype == TWINCHECK_I64; }
bool is_float(int32_t dtype) { return dtype >= TWINCHECK_F32 && dtype <= TWINCHECK_F16; }

// Of the six matrices whose row stride may be read: all but gate, which is counted as hidden.
std::size_t row_stride_index(std::size_t operand) {
  return operand - (operand >= static_cast<std::size_t>(Operand::kGate) ? 1 : 0);
}

struct View {  // a case's seven matrices
  std::array<Matrix, kOperands> told, implied;
  std::array<bool, kOperands> used;
};

View view_of(const Case& c) {
  View v;
  for (std::size_t i = 0; i < kOperands; ++i) {
    const Operand o = static_cast<Operand>(i);
    v.used[i] = is_used(c, o);
    v.implied[i] = implied_matrix_of(c, o);
    Matrix& m = v.told[i] = v.implied[i];
    const Layout& l = c.layout[i];
    if (l.row_stride) m.row_stride = *l.row_stride;
    if (l.rows) m.rows = *l.rows;
    if (l.cols) m.cols = *l.cols;
    if (l.dtype) m.dtype = *l.dtype;
  }
  return v;
}

// ---- defects

// Counts the defects of a case into `members`, where that is given; answers whether there is any.
class Defects {
 public:
  Defects(const Case& c, const View& v, uint64_t* members) : case_(c), view_(v), members_(members) {}

  bool find() {
    struct_and_sizes();
    for (std::size_t i = 0; i < kOperands; ++i) {
      dtype(i);
      shape(i);
      rows_and_pointers(i);
    }
    parameters();
    overlaps();
    if (found_ > 0 && members_ != nullptr) ++members_[first_of("defects") + (found_ > 1 ? 1 : 0)];
    return found_ > 0;
  }

 private:
  void hit(std::size_t index) {
    ++found_;
    if (members_ != nullptr) ++members_[index];
  }
  const Matrix& told(Operand o) const { return view_.told[static_cast<std::size_t>(o)]; }

  void struct_and_sizes() {
    constexpr std::size_t kNegative = first_of("negative_size");
    const int64_t sizes[] = {case_.shared, case_.tokens, case_.top_k, case_.source == TWINCHECK_GATE ? case_.hidden : 0};
    for (std::size_t i = 0; i < 4; ++i) {
      if (sizes[i] < 0) hit(kNegative + i);
    }
    constexpr std::size_t kStruct = first_of("bad_struct");
    if (case_.args_size.value_or(sizeof(AppendArgs)) < sizeof(AppendArgs)) hit(kStruct);
    if (case_.source < TWINCHECK_CONSTANT || case_.source > TWINCHECK_GATE) hit(kStruct + 1);
  }

  void dtype(std::size_t i) {
    constexpr std::size_t kDtype = first_of("bad_dtype");
    constexpr std::size_t kPair = first_of("bad_dtype_pair");
    if (!view_.used[i]) return;
    const Operand o = static_cast<Operand>(i);
    const bool ids = o == Operand::kTopkIds || o == Operand::kOutIds;
    const int32_t implied = view_.implied[i].dtype;
    if (ids ? !is_id(implied) : !is_float(implied)) {
      if (o == Operand::kTopkIds) hit(kPair);
      if (o == Operand::kTopkWeights) hit(kPair + 1);
      if (o == Operand::kShared || o == Operand::kGate) hit(kPair + 2);
    }
    const int32_t dtype = view_.told[i].dtype;
    if (dtype != implied && !(o == Operand::kShared && is_float(dtype))) hit(kDtype + i);
  }

  // Sizes that differ from the implied ones. All matrices of T rows (or both of H columns, or of K) changed alike are no
  // mismatch but other sizes.
  void shape(std::size_t i) {
    constexpr std::size_t kNegativeRows = first_of("negative_rows");
    constexpr std::size_t kNegativeCols = first_of("negative_cols");
    constexpr std::size_t kRows = first_of("other_rows");
    constexpr std::size_t kCols = first_of("other_cols");
    constexpr std::size_t kUnused = first_of("unused_shape");
    const Layout& l = case_.layout[i];
    const Operand o = static_cast<Operand>(i);
    const Matrix& m = view_.told[i];
    if (l.rows && *l.rows < 0) hit(kNegativeRows + i);
    if (l.cols && *l.cols < 0) hit(kNegativeCols + i);
    if (!view_.used[i]) {
      if (m.rows > 0 || m.cols > 0) hit(kUnused + i - static_cast<std::size_t>(Operand::kShared));
      return;
    }
    if (l.rows && *l.rows >= 0 && *l.rows != view_.implied[i].rows) {
      const bool alike = o != Operand::kGate && case_.of(Operand::kTopkIds).rows == l.rows &&
                         case_.of(Operand::kTopkWeights).rows == l.rows && case_.of(Operand::kOutIds).rows == l.rows &&
                         case_.of(Operand::kOutWeights).rows == l.rows;
      if (!alike) hit(kRows + i);
    }
    if (l.cols && *l.cols >= 0 && *l.cols != view_.implied[i].cols) {
      const bool routed = o == Operand::kTopkIds || o == Operand::kTopkWeights;
      int64_t sum = 0;
      const bool alike =
          (routed && told(Operand::kTopkIds).cols == told(Operand::kTopkWeights).cols &&
           __builtin_add_overflow(*l.cols, case_.shared, &sum)) ||
          ((o == Operand::kHidden || o == Operand::kGate) && told(Operand::kHidden).cols == told(Operand::kGate).cols) ||
          (o == Operand::kShared && (*l.cols == 1 || *l.cols == case_.shared));
      if (!alike) hit(kCols + i);
    }
    const bool no_hidden = o == Operand::kHidden && m.cols == 0 && case_.tokens > 0 && case_.shared > 0;
    if (no_hidden && !l.cols) hit(kUnused + 3);
  }

  void rows_and_pointers(std::size_t i) {
    constexpr std::size_t kStride = first_of("bad_stride");
    constexpr std::size_t kExtent = first_of("extent_overflow");
    constexpr std::size_t kNull = first_of("null_pointer");
    constexpr std::size_t kMisaligned = first_of("misaligned");
    const Matrix& m = view_.told[i];
    if (!view_.used[i] || is_empty(m)) return;
    if (m.rows > 1 && m.row_stride < m.cols) hit(kStride + row_stride_index(i));
    __extension__ using Wide = __int128;
    const int64_t width = dtype_bytes(m.dtype);
    const Wide rows_before = m.rows > 1 ? Wide{m.rows} - 1 : 0;
    const Wide stride = m.row_stride > 0 ? m.row_stride : 0;
    const Wide elements = rows_before * stride + m.cols;  // below 2^127
    if (width > 0 && elements > std::numeric_limits<int64_t>::max() / width) hit(kExtent + i);
    const Layout& l = case_.layout[i];
    if (l.pointer == Pointer::kNull) hit(kNull + i);
    if (l.pointer == Pointer::kSkewed && width > 1 && l.pointer_bytes % width != 0) hit(kMisaligned + i);
  }

  void parameters() {
    constexpr std::size_t kParameter = first_of("bad_parameter");
    const Case& c = case_;
    const bool finite = (c.scale_bits & 0x7f800000) != 0x7f800000;
    if (!finite) hit(kParameter);
    if (finite && c.source == TWINCHECK_WEIGHTS && c.scale_bits != 0x3f800000) hit(kParameter + 1);
    if (c.remap < 0) hit(kParameter + 2);
    if (c.base_id < 0) hit(kParameter + 3);
    int64_t sum = 0;
    if (c.shared >= 0 && __builtin_add_overflow(told(Operand::kTopkIds).cols, c.shared, &sum)) hit(kParameter + 4);
    if (c.base_id >= 0 && c.shared > 0 && c.base_id > max_id(c.ids_dtype) - c.shared + 1) {
      hit(first_of("id_overflow") + (c.ids_dtype == Dtype::kI64 ? 1 : 0));
    }
  }

  void overlaps() {
    constexpr std::size_t kOverlap = first_of("overlap");
    for (std::size_t i = 0; i < kOperands; ++i) {
      const Layout& l = case_.layout[i];
      if (l.pointer != Pointer::kInto || !view_.used[i] || is_empty(view_.told[i])) continue;
      const auto target = static_cast<std::size_t>(l.pointer_operand);
      const bool output = i >= kInputs;
      const bool into_output = target >= kInputs;
      if (target == i || !(output || into_output) || !view_.used[target] || is_empty(view_.told[target])) continue;
      const bool strided = view_.told[target].row_stride > view_.told[target].cols;
      if (output && into_output) {
        hit(kOverlap + (strided ? 1 : 0));
      } else {
        hit(kOverlap + 2);
      }
    }
    const std::size_t ids[] = {static_cast<std::size_t>(Operand::kTopkIds), static_cast<std::size_t>(Operand::kOutIds)};
    const std::size_t weights[] = {static_cast<std::size_t>(Operand::kTopkWeights),
                                   static_cast<std::size_t>(Operand::kOutWeights)};
    for (const auto& pair : {ids, weights}) {
      const int half = pair == ids ? static_cast<int>(InPlace::kIds) : static_cast<int>(InPlace::kWeights);
      const Matrix& in = view_.told[pair[0]];
      const bool in_place = (static_cast<int>(case_.in_place) & half) != 0 && case_.layout[pair[0]].pointer == Pointer::kOwn;
      if (!in_place || is_empty(in)) continue;
      if (in.rows > 1 && in.row_stride != view_.told[pair[1]].row_stride) hit(kOverlap + 3);
      if (case_.remap > 0) hit(kOverlap + 4);
    }
  }

  const Case& case_;
  const View& view_;
  uint64_t* members_;
  int found_ = 0;
};

// ---- valid cases

std::size_t size_class(int64_t size, std::initializer_list<int64_t> ends) {
  std::size_t i = 0;
  for (const int64_t end : ends) {
    if (size <= end) return i;
    ++i;
  }
  return i;
}

std::size_t float_index(Dtype dtype) { return static_cast<std::size_t>(dtype) - static_cast<std::size_t>(Dtype::kF32); }

std::size_t scale_class(uint32_t bits) {
  const float scale = std::bit_cast<float>(bits);
  if (bits == 0x3f800000) return 0;
  if (scale == 0) return bits == 0 ? 1 : 2;
  if (scale < 0) return 3;
  if (scale < 1e-20f) return 4;
  if (scale > 1e9f) return 5;
  return scale < 1 ? 6 : 7;
}

class Counter {
 public:
  Counter(const Case& c, const View& v, ClassCounts& counts) : case_(c), view_(v), counts_(counts) {}

  void count() {
    sizes();
    parameters();
    data();
    layouts();
  }

 private:
  void hit(std::size_t index) { ++counts_.members[index]; }

  void sizes() {
    const Case& c = case_;
    hit(first_of("tokens") + size_class(c.tokens, {0, 1, 9, 32, 64}));
    if (c.tokens > 1)
      hit(first_of("tokens_step") + (c.tokens % 32 == 0 ? 0u : c.tokens % 32 == 1 ? 1u : c.tokens % 32 == 31 ? 2u : 3u));
    hit(first_of("top_k") + size_class(c.top_k, {0, 1, 8, 16}));
    if (c.top_k > 1) hit(first_of("top_k_form") + (std::has_single_bit(static_cast<uint64_t>(c.top_k)) ? 0u : 1u));
    hit(first_of("shared") + size_class(c.shared, {0, 1, 2}));
    if (c.source == TWINCHECK_GATE) hit(first_of("hidden") + size_class(c.hidden, {0, 16, 64, 300}));
    if (is_float(static_cast<int32_t>(c.weights_dtype))) {
      hit(first_of("routed_dtypes") + (c.ids_dtype == Dtype::kI64 ? 3u : 0u) + float_index(c.weights_dtype));
    }
    if (c.source == TWINCHECK_CONSTANT) return;
    const std::size_t pairs = c.source == TWINCHECK_WEIGHTS  ? first_of("weights_dtypes")
                              : c.source == TWINCHECK_LOGITS ? first_of("logits_dtypes")
                                                             : first_of("gate_dtypes");
    hit(pairs + 3 * float_index(c.shared_dtype) + float_index(c.weights_dtype));
    if (c.source == TWINCHECK_GATE) return;
    const std::size_t columns = c.source == TWINCHECK_WEIGHTS ? first_of("weights_columns") : first_of("logits_columns");
    if (c.shared > 1) hit(columns + (c.broadcast ? 1u : 0u));
  }

  void parameters() {
    const Case& c = case_;
    if (c.source != TWINCHECK_WEIGHTS) hit(first_of("scale") + scale_class(c.scale_bits));
    const int64_t near_last = max_id(c.ids_dtype) - std::max<int64_t>(c.shared - 1, 0) - 3;
    constexpr int64_t k31 = int64_t{1} << 31;
    hit(first_of("base_id") + (c.base_id >= near_last ? 4 : size_class(c.base_id, {0, (1 << 16) - 1, k31 - 1})));
    if (c.remap == 0) {
      hit(first_of("remap"));
    } else {
      __extension__ using Wide = __int128;
      const Wide rest = Wide{c.base_id} - c.remap;
      const bool interleaved = rest >= 0 && rest % (Wide{c.remap} + c.shared) == 0;
      hit(first_of("remap") + (c.remap >= 1 << 16 ? 3u : interleaved ? 2u : 1u));
    }
    hit(first_of("in_place") + static_cast<std::size_t>(c.in_place));
    if (c.args_size) hit(first_of("struct"));
  }

  void data() {
    const Case& c = case_;
    hit(first_of("ids") + static_cast<std::size_t>(c.ids));
    if (c.ids == IdClass::kLarge) hit(first_of("large_ids") + (c.ids_dtype == Dtype::kI64 ? 1u : 0u));
    hit(first_of("topk_weights") + static_cast<std::size_t>(c.weights));
    const auto values = static_cast<std::size_t>(c.shared_values);
    if (c.source == TWINCHECK_WEIGHTS) hit(first_of("shared_weights") + values);
    if (c.source == TWINCHECK_LOGITS) hit(first_of("shared_logits") + values);
    if (c.source == TWINCHECK_GATE) hit(first_of("hidden_and_gate") + values);
  }

  void layouts() {
    uint32_t strides = 0, misalignments = 0, places = 0, rest = 0;
    for (std::size_t i = 0; i < kOperands; ++i) {
      const Layout& l = case_.layout[i];
      const Matrix& m = view_.told[i];
      const bool empty = m.rows == 0 || m.cols == 0;
      if (!view_.used[i]) {
        if (l != Layout{}) rest |= 1;
        continue;
      }
      if (empty && l.pointer != Pointer::kOwn) rest |= 2;
      if (m.rows <= 1 && m.row_stride < m.cols) rest |= 4;
      if (!empty && l.pointer == Pointer::kInto) rest |= 8;
      if (empty) continue;
      places |= 1u << static_cast<unsigned>(l.place);
      const uint64_t bytes = l.offset * static_cast<uint64_t>(dtype_bytes(m.dtype)) % 16;
      misalignments |= 1u << (bytes / 2);
      if (bytes != 0) hit(first_of("misaligned_matrix") + i);
      if (m.rows <= 1 || i == static_cast<std::size_t>(Operand::kGate)) continue;
      if (m.row_stride != m.cols) hit(first_of("strided_matrix") + row_stride_index(i));
      strides |= 1u << stride_class(m);
    }
    for_each_bit(strides, first_of("row_stride"));
    for_each_bit(misalignments, first_of("offset_bytes_mod_16"));
    for_each_bit(places, first_of("place"));
    for_each_bit(rest, first_of("not_read"));
  }

  static unsigned stride_class(const Matrix& m) {
    if (m.row_stride == m.cols) return 0;
    if (m.row_stride > (int64_t{1} << 31) / m.rows) return 4;
    if (std::has_single_bit(static_cast<uint64_t>(m.row_stride))) return 3;
    return m.row_stride % 2 != 0 ? 2 : 1;
  }

  void for_each_bit(uint32_t bits, std::size_t first) {
    for (; bits != 0; bits &= bits - 1) hit(first + static_cast<std::size_t>(std::countr_zero(bits)));
  }

  const Case& case_;
  const View& view_;
  ClassCounts& counts_;
};

bool applies(const Class& k, const Domain& d) {
  const auto lacks = [&](Need need, bool has) { return (k.needs & need) != 0 && !has; };
  return !(lacks(kNeedsInPlace, d.in_place) || lacks(kNeedsRemap, d.remap) || lacks(kNeedsOddLayouts, d.odd_layouts) ||
           lacks(kNeedsSparse, d.sparse) || lacks(kNeedsWideIds, d.wide_ids) || lacks(kNeedsShortStructs, d.short_structs) ||
           lacks(kNeedsTokens, d.max_tokens >= 64) || lacks(kNeedsAllSources, !d.source) ||
           lacks(kNeedsBoth, d.validity == Validity::kBoth));
}

}  // namespace

std::span<const Class, kClasses> classes() { return kTable; }

bool has_defect(const Case& c) {
  const View v = view_of(c);
  return Defects(c, v, nullptr).find();
}

void ClassCounts::add(const Case& c) {
  const View v = view_of(c);
  const auto count = [&](Population p) { ++cases[static_cast<std::size_t>(p)]; };
  count(kAll);
  const bool invalid = Defects(c, v, members.data()).find();
  ++members[first_of("validity") + (invalid ? 1 : 0)];
  if (c.source >= TWINCHECK_CONSTANT && c.source <= TWINCHECK_GATE) {
    ++members[first_of("source") + static_cast<std::size_t>(c.source)];
  }
  if (invalid) return count(kInvalid);
  count(kValid);
  if (c.source == TWINCHECK_WEIGHTS) count(kWeights);
  if (c.source == TWINCHECK_LOGITS) count(kLogits);
  if (c.source == TWINCHECK_GATE) count(kGate);
  Counter(c, v, *this).count();
}

void ClassCounts::merge(const ClassCounts& other) {
  for (std::size_t i = 0; i < kPopulations; ++i) cases[i] += other.cases[i];
  for (std::size_t i = 0; i < kClasses; ++i) members[i] += other.members[i];
}

std::string distribution(const ClassCounts& counts) {
  std::string text;
  for (std::size_t i = 0; i < kClasses; ++i) {
    const Class& k = kTable[i];
    const auto among = static_cast<std::size_t>(k.among);
    const uint64_t population = counts.cases[among];
    if (i == 0 || kTable[i - 1].field != k.field) {
      fmt::format_to(std::back_inserter(text), "{}{} (of {} {})", i == 0 ? "" : "\n", k.field, population,
                     kPopulationNames[among]);
    }
    const double share =
        population == 0 ? 0 : 100 * static_cast<double>(counts.members[i]) / static_cast<double>(population);
    fmt::format_to(std::back_inserter(text), "  {} {:.3g} %", k.name, share);
  }
  return text + "\n";
}

std::vector<Shortfall> shortfalls(const ClassCounts& counts, const Domain& domain) {
  std::vector<Shortfall> found;
  for (std::size_t i = 0; i < kClasses; ++i) {
    const Class& k = kTable[i];
    const uint64_t population = counts.cases[static_cast<std::size_t>(k.among)];
    const double expected = k.floor * static_cast<double>(population);
    if (!applies(k, domain) || static_cast<double>(counts.members[i]) >= expected - 4 * std::sqrt(expected)) continue;
    found.push_back(
        {&kTable[i], counts.members[i], population,
         fmt::format("only {} of {} {} cases have {}={}: expected at least {:.3g} %", counts.members[i], population,
                     kPopulationNames[static_cast<std::size_t>(k.among)], k.field, k.name, 100 * k.floor)});
  }
  return found;
}

}  // namespace twincheck
