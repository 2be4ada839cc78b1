// A case as bytes. Integers are little-endian base-128 varints, signed ones zigzag; what reads past the end reads zeros, and
// an enumerator is taken modulo the number of enumerators, so that every string of bytes is a case.
//
//   source tokens top_k shared hidden   signed varints
//   ids_dtype + 6 weights_dtype + 36 shared_dtype   one byte; each counted from i32 or f32 on, so that zeros are the default
//   ids + 7 weights                                 one byte
//   shared_values + 10 in_place + 40 broadcast      one byte
//   which of scale (differs from 1), base_id, remap, args_size, seed follow: one byte, then those
//   which operands have a layout: one byte, then each: which fields follow, one byte, then those
//   which inputs have literal data: one byte, then each: log2 of the element's width in the low 2 bits of a byte, the number
//   of elements as a varint (at most as many as are left), the elements
#include <algorithm>
#include <array>

#include "harness/case/case.h"

namespace twincheck {
namespace {

constexpr int kDtypes = 6;
constexpr int kInPlaces = 4;
constexpr int kPlaces = 3;
constexpr int kPointers = 4;

struct Writer {
  std::vector<uint8_t> bytes;

  void byte(int64_t value) { bytes.push_back(static_cast<uint8_t>(value)); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) byte(static_cast<int64_t>(value | 0x80));
    byte(static_cast<int64_t>(value));
  }
  void signed_varint(int64_t value) { varint((static_cast<uint64_t>(value) << 1) ^ (value < 0 ? ~uint64_t{0} : 0)); }
  void fixed(uint64_t value, int width) {
    for (int i = 0; i < width; ++i) byte(static_cast<int64_t>((value >> (8 * i)) & 0xff));
  }
};

struct Reader {
  std::span<const uint8_t> bytes;

  uint8_t byte() {
    if (bytes.empty()) return 0;
    const uint8_t value = bytes.front();
    bytes = bytes.subspan(1);
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t b = byte();
      value |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (b < 0x80) break;
    }
    return value;
  }
  int64_t signed_varint() {
    const uint64_t value = varint();
    return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
  }
  uint64_t fixed(std::size_t width) {
    const std::size_t here = std::min(width, bytes.size());
    uint64_t value = 0;
    for (std::size_t i = 0; i < here; ++i) value |= static_cast<uint64_t>(bytes[i]) << (8 * i);
    bytes = bytes.subspan(here);
    return value;
  }
};

enum Present : uint8_t { kScale = 1, kBaseId = 2, kRemap = 4, kArgsSize = 8, kSeed = 16 };

enum Field : uint8_t {
  kRowStride = 1,
  kOffset = 2,
  kPlace = 4,
  kRows = 8,
  kCols = 16,
  kDtype = 32,
  kPointer = 64,       // pointer + 4 * pointer_operand, one byte
  kPointerBytes = 128  // a signed varint
};

// Those that differ from the default.
int fields_of(const Layout& l) {
  const bool pointed = l.pointer != Pointer::kOwn || l.pointer_operand != Operand::kTopkIds;
  return (l.row_stride ? kRowStride : 0) | (l.offset != 0 ? kOffset : 0) | (l.place != Place::kMiddle ? kPlace : 0) |
         (l.rows ? kRows : 0) | (l.cols ? kCols : 0) | (l.dtype ? kDtype : 0) | (pointed ? kPointer : 0) |
         (l.pointer_bytes != 0 ? kPointerBytes : 0);
}

void put_layout(Writer& out, const Layout& l, int fields) {
  out.byte(fields);
  if (fields & kRowStride) out.signed_varint(*l.row_stride);
  if (fields & kOffset) out.varint(l.offset);
  if (fields & kPlace) out.byte(static_cast<int>(l.place));
  if (fields & kRows) out.signed_varint(*l.rows);
  if (fields & kCols) out.signed_varint(*l.cols);
  if (fields & kDtype) out.signed_varint(*l.dtype);
  if (fields & kPointer) out.byte(static_cast<int>(l.pointer) + kPointers * static_cast<int>(l.pointer_operand));
  if (fields & kPointerBytes) out.signed_varint(l.pointer_bytes);
}

void get_layout(Reader& in, Layout& l) {
  const uint8_t fields = in.byte();
  if (fields & kRowStride) l.row_stride = in.signed_varint();
  if (fields & kOffset) l.offset = static_cast<uint32_t>(in.varint());
  if (fields & kPlace) l.place = static_cast<Place>(in.byte() % kPlaces);
  if (fields & kRows) l.rows = in.signed_varint();
  if (fields & kCols) l.cols = in.signed_varint();
  if (fields & kDtype) l.dtype = static_cast<int32_t>(in.signed_varint());
  if (fields & kPointer) {
    const int packed = in.byte();
    l.pointer = static_cast<Pointer>(packed % kPointers);
    l.pointer_operand = static_cast<Operand>(packed / kPointers % kOperands);
  }
  if (fields & kPointerBytes) l.pointer_bytes = in.signed_varint();
}

int dtype_code(Dtype dtype, Dtype zero) { return (static_cast<int>(dtype) - static_cast<int>(zero) + kDtypes) % kDtypes; }
Dtype coded_dtype(int code, Dtype zero) { return static_cast<Dtype>((code + static_cast<int>(zero)) % kDtypes); }

int log2_width(const std::vector<uint64_t>& bits) {
  uint64_t all = 0;
  for (const uint64_t b : bits) all |= b;
  return all <= 0xff ? 0 : all <= 0xffff ? 1 : all <= 0xffffffff ? 2 : 3;
}

}  // namespace

std::vector<uint8_t> encode(const Case& c) {
  Writer out;
  std::size_t literals = 0;
  for (const auto& bits : c.literal) literals += bits.size();
  out.bytes.reserve(64 + 8 * literals);
  for (const int64_t size : {int64_t{c.source}, c.tokens, c.top_k, c.shared, c.hidden}) out.signed_varint(size);
  out.byte(dtype_code(c.ids_dtype, Dtype::kI32) + kDtypes * dtype_code(c.weights_dtype, Dtype::kF32) +
           kDtypes * kDtypes * dtype_code(c.shared_dtype, Dtype::kF32));
  out.byte(static_cast<int>(c.ids) + kIdClasses * static_cast<int>(c.weights));
  out.byte(static_cast<int>(c.shared_values) + kValueClasses * static_cast<int>(c.in_place) +
           kValueClasses * kInPlaces * (c.broadcast ? 1 : 0));
  const Case plain;
  out.byte((c.scale_bits != plain.scale_bits ? kScale : 0) | (c.base_id != 0 ? kBaseId : 0) | (c.remap != 0 ? kRemap : 0) |
           (c.args_size ? kArgsSize : 0) | (c.seed != 0 ? kSeed : 0));
  if (c.scale_bits != plain.scale_bits) out.fixed(c.scale_bits, 4);
  if (c.base_id != 0) out.signed_varint(c.base_id);
  if (c.remap != 0) out.signed_varint(c.remap);
  if (c.args_size) out.varint(*c.args_size);
  if (c.seed != 0) out.fixed(c.seed, 8);

  std::array<int, kOperands> fields{};
  int laid_out = 0;
  for (std::size_t i = 0; i < kOperands; ++i) {
    fields[i] = fields_of(c.layout[i]);
    laid_out |= (fields[i] != 0 ? 1 : 0) << i;
  }
  out.byte(laid_out);
  for (std::size_t i = 0; i < kOperands; ++i) {
    if (fields[i] != 0) put_layout(out, c.layout[i], fields[i]);
  }

  uint8_t given = 0;
  for (unsigned i = 0; i < kInputs; ++i) given |= static_cast<uint8_t>((c.literal[i].empty() ? 0u : 1u) << i);
  out.byte(given);
  for (const auto& bits : c.literal) {
    if (bits.empty()) continue;
    const int log2 = log2_width(bits);
    out.byte(log2);
    out.varint(bits.size());
    for (const uint64_t b : bits) out.fixed(b, 1 << log2);
  }
  return std::move(out.bytes);
}

Case decode(std::span<const uint8_t> bytes) {
  Reader in{bytes};
  Case c;
  c.source = static_cast<int32_t>(in.signed_varint());
  for (int64_t* size : {&c.tokens, &c.top_k, &c.shared, &c.hidden}) *size = in.signed_varint();
  const int dtypes = in.byte();
  c.ids_dtype = coded_dtype(dtypes, Dtype::kI32);
  c.weights_dtype = coded_dtype(dtypes / kDtypes, Dtype::kF32);
  c.shared_dtype = coded_dtype(dtypes / (kDtypes * kDtypes), Dtype::kF32);
  const int classes = in.byte();
  c.ids = static_cast<IdClass>(classes % kIdClasses);
  c.weights = static_cast<ValueClass>(classes / kIdClasses % kValueClasses);
  const int rest = in.byte();
  c.shared_values = static_cast<ValueClass>(rest % kValueClasses);
  c.in_place = static_cast<InPlace>(rest / kValueClasses % kInPlaces);
  c.broadcast = rest / (kValueClasses * kInPlaces) % 2 != 0;
  const uint8_t present = in.byte();
  if (present & kScale) c.scale_bits = static_cast<uint32_t>(in.fixed(4));
  if (present & kBaseId) c.base_id = in.signed_varint();
  if (present & kRemap) c.remap = in.signed_varint();
  if (present & kArgsSize) c.args_size = static_cast<uint32_t>(in.varint());
  if (present & kSeed) c.seed = in.fixed(8);

  const uint8_t laid_out = in.byte();
  for (unsigned i = 0; i < kOperands; ++i) {
    if (laid_out >> i & 1) get_layout(in, c.layout[i]);
  }
  const uint8_t given = in.byte();
  for (unsigned i = 0; i < kInputs; ++i) {
    if ((given >> i & 1) == 0) continue;
    const std::size_t width = std::size_t{1} << (in.byte() & 3);
    const uint64_t claimed = in.varint();
    const uint64_t count = std::min<uint64_t>(claimed, in.bytes.size() / width);
    c.literal[i].reserve(count);
    for (uint64_t n = 0; n < count; ++n) c.literal[i].push_back(in.fixed(width));
  }
  return c;
}

}  // namespace twincheck
