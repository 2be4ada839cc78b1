#include "harness/case/values.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>

namespace twincheck {
namespace {

// splitmix64's finalizer: every bit of x moves every bit of the result.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

// The hash of an element, from the key of its operand and its index r * cols + c.
uint64_t element_hash(uint64_t key, uint64_t index) { return mix(key + index * kGolden); }
uint64_t row_hash(uint64_t key, int64_t row) { return mix(~key ^ (static_cast<uint64_t>(row) * kGolden)); }

// Uniform in [0, n), from the high bits of a hash.
uint64_t scaled(uint64_t hash, uint64_t n) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((static_cast<Wide>(hash) * n) >> 64);
}

// ---- ids

// Distinct ids, row by row: start + step * p(c) modulo range, where p permutes the columns so that ids come unsorted and
// step * cols <= range keeps them apart.
class DistinctIds {
 public:
  DistinctIds(uint64_t cols, uint64_t range) : cols_(cols), range_(range), steps_(std::max<uint64_t>(1, range / cols)) {
    // A prime that does not divide cols generates every column.
    constexpr uint64_t kPrimes[] = {2147483647, 1000000007, 998244353, 4294967291};
    for (int i = 0; i < 4; ++i) jumps_[i] = std::max<uint64_t>(1, kPrimes[i] % cols);
  }

  template <typename Id>
  void row(uint64_t hash, Id* dst) const {
    const uint64_t start = scaled(hash, range_);
    const uint64_t again = mix(hash);
    const uint64_t step = 1 + scaled(again, steps_);
    const uint64_t jump = jumps_[again & 3];
    uint64_t place = scaled(again << 32, cols_);
    for (uint64_t k = 0; k < cols_; ++k) {
      const uint64_t id = start + step * place;
      dst[k] = static_cast<Id>(id < range_ ? id : id - range_);
      place += jump;
      if (place >= cols_) place -= cols_;
    }
  }

 private:
  uint64_t cols_, range_, steps_;
  uint64_t jumps_[4];
};

template <typename Id>
void fill_ids(const Case& c, uint64_t key, int64_t first, int64_t rows, int64_t cols, Id* dst) {
  using Unsigned = std::make_unsigned_t<Id>;
  constexpr bool kWide = sizeof(Id) == 8;
  constexpr int64_t kMin = std::numeric_limits<Id>::min();
  constexpr int64_t kMax = std::numeric_limits<Id>::max();
  constexpr uint64_t kDefaultRange = uint64_t{1} << 20;
  const uint64_t columns = static_cast<uint64_t>(cols);
  uint64_t range = c.base_id >= cols ? static_cast<uint64_t>(c.base_id) : std::max(kDefaultRange, columns);
  range = std::min(range, static_cast<uint64_t>(kMax));
  const IdClass ids = c.ids;
  const DistinctIds distinct(columns, range);

  for (int64_t r = first; r < first + rows; ++r) {
    const uint64_t of_row = row_hash(key, r);
    const uint64_t index = static_cast<uint64_t>(r) * columns;
    switch (ids) {
      case IdClass::kPadding:
        std::fill_n(dst, cols, Id{-1});
        break;
      case IdClass::kDuplicates:
        for (uint64_t k = 0; k < columns; ++k) {
          const uint64_t which = element_hash(key, index + k) & 1;
          dst[k] = static_cast<Id>(scaled(which != 0 ? of_row : mix(key), range));
        }
        break;
      case IdClass::kLimits: {
        static constexpr int64_t kEnds[8] = {kMin, -1, 0, kMax / 2, kMax, kMax, kMax, kMax};
        static constexpr int64_t kInwards[8] = {1, -1, 1, 1, -1, -1, -1, -1};
        for (uint64_t k = 0; k < columns; ++k) {
          const uint64_t h = element_hash(key, index + k);
          dst[k] = static_cast<Id>(kEnds[h & 7] + kInwards[h & 7] * static_cast<int64_t>(h >> 62));
        }
        break;
      }
      case IdClass::kLarge:
        for (uint64_t k = 0; k < columns; ++k) {
          const uint64_t h = element_hash(key, index + k);
          uint64_t id = (uint64_t{1} << 16) + scaled(h, static_cast<uint64_t>(kMax) / 2);
          if (kWide) {
            // Around 2^31 and 2^32, up to 2^40, and anywhere.
            if ((h & 3) == 0) id = (uint64_t{1} << (31 + (h >> 2 & 1))) - 4 + (h >> 3 & 7);
            if ((h & 3) == 1) id = (uint64_t{1} << 31) + (h >> 24);
          } else if ((h & 3) == 0) {
            id = (uint64_t{1} << (16 + (h >> 2 & 7))) + (h >> 5 & 7);
          }
          dst[k] = static_cast<Id>(static_cast<Unsigned>(id));
        }
        break;
      case IdClass::kSomePadding:
      case IdClass::kSentinels:
      case IdClass::kDistinct: {
        if (ids == IdClass::kSomePadding && (of_row & 3) == 0) {
          std::fill_n(dst, cols, Id{-1});
          break;
        }
        distinct.row(of_row, dst);
        if (ids != IdClass::kSentinels) break;
        static constexpr int64_t kSentinel[4] = {-1, -1, -2, kMin};
        for (uint64_t k = 0; k < columns; ++k) {
          const uint64_t h = element_hash(key, index + k);
          const uint64_t which = h >> 2 & 3;
          const auto sentinel = static_cast<Id>(kSentinel[which] - static_cast<int64_t>(which == 2 ? h >> 56 : 0));
          const Id keep = (h & 3) != 0 ? Id{-1} : Id{0};  // a mask, as a branch would be mispredicted
          dst[k] = static_cast<Id>((dst[k] & keep) | (sentinel & ~keep));
        }
        break;
      }
    }
    dst += cols;
  }
}

// ---- weights

// Bits of the f32 value rounded to nearest even; what overflows becomes infinity. No NaN comes here.
uint32_t narrow(Dtype dtype, float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (dtype == Dtype::kF32) return bits;
  if (dtype == Dtype::kBf16) return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // 65520 and above
  if (magnitude < 0x38800000) {
    // Adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded by the addition.
    return sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000);
  }
  return sign | ((magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13);
}

float f16_value(uint32_t magnitude) {
  const uint32_t exponent = magnitude >> 10;
  if (exponent == 0) return static_cast<float>(magnitude) * 0x1p-24f;
  return std::bit_cast<float>((magnitude << 13) + 0x38000000);  // for 0x7c00: 65536
}

// Uniform in (0, 1), 23 bits.
float unit(uint64_t hash) { return (static_cast<float>(hash >> 41) + 0.5f) * 0x1p-23f; }

// A halfway case of a narrower conversion, or one of its two neighbours in the dtype.
uint32_t halfway(Dtype dtype, uint64_t h) {
  const uint32_t sign = static_cast<uint32_t>(h >> 63);
  const uint32_t neighbour = static_cast<uint32_t>((h >> 60 & 7) % 3) - 1;  // -1, 0 or 1
  switch (dtype) {
    case Dtype::kF32: {
      uint32_t bits;
      if (h >> 59 & 1) {
        bits = static_cast<uint32_t>(scaled(h << 5, 0x7f80)) << 16 | 0x8000;  // to bf16
      } else {
        const auto below = static_cast<uint32_t>(scaled(h << 5, 0x7c00));  // to f16, up to 65520
        bits = std::bit_cast<uint32_t>((f16_value(below) + f16_value(below + 1)) * 0.5f);
      }
      return (bits + neighbour) | sign << 31;
    }
    case Dtype::kBf16: {
      // To f16: odd multiples of 2^-25 below 2^-17, and the largest bf16 that stays finite with its neighbours.
      const uint32_t odd = static_cast<uint32_t>(h >> 40 & 0x7f) * 2 + 1;
      const uint32_t bits = (h >> 32 & 7) == 0 ? 0x477f : std::bit_cast<uint32_t>(static_cast<float>(odd) * 0x1p-25f) >> 16;
      return (bits + neighbour) | sign << 15;
    }
    default: {
      // To bf16, which keeps 8 bits: the bits below those are 10..0.
      uint32_t bits;
      if ((h >> 32 & 3) == 0) {
        const int lost = 1 + static_cast<int>(h >> 34 & 1);  // a subnormal of 9 or 10 significant bits
        bits = 0x80u << lost | static_cast<uint32_t>((h >> 36 & 0x7f) << lost) | 1u << (lost - 1);
      } else {
        bits = 0x400 + (static_cast<uint32_t>(scaled(h << 5, (0x7c00 - 0x400) / 8)) << 3 | 4);
      }
      return (bits + neighbour) | sign << 15;
    }
  }
}

struct Format {
  uint32_t sign, infinity, mantissa, quiet;  // bits of the sign, of infinity, of the mantissa, of a quiet NaN's mark
};
constexpr Format format_of(Dtype dtype) {
  if (dtype == Dtype::kF32) return {0x80000000, 0x7f800000, 0x007fffff, 0x00400000};
  if (dtype == Dtype::kBf16) return {0x8000, 0x7f80, 0x007f, 0x0040};
  return {0x8000, 0x7c00, 0x03ff, 0x0200};
}

// a where the bit is 1, else b; without a branch, which a random bit would have mispredicted.
uint32_t one_of(uint64_t bit, uint32_t a, uint32_t b) {
  const uint32_t mask = 0 - static_cast<uint32_t>(bit);
  return (a & mask) | (b & ~mask);
}

template <Dtype kDtype, ValueClass kValues>
uint32_t value_bits(uint64_t h) {
  constexpr Format f = format_of(kDtype);
  const uint32_t sign = h >> 63 ? f.sign : 0;
  const uint32_t payload = static_cast<uint32_t>(h) & f.mantissa;
  switch (kValues) {
    case ValueClass::kRouter:
      return narrow(kDtype, unit(h));
    case ValueClass::kBits:
      return static_cast<uint32_t>(h >> 32) & (f.sign | f.infinity | f.mantissa);
    case ValueClass::kHalfway:
      return halfway(kDtype, h);
    case ValueClass::kSubnormal:
      return sign | (std::max<uint32_t>(1, payload) + (h >> 40 & 7 ? 0 : f.mantissa + 1));
    case ValueClass::kNan: {
      const uint32_t quiet = f.quiet | payload;
      const uint32_t signalling = std::max<uint32_t>(1, payload & ~f.quiet);
      return one_of(h >> 40 & 1, narrow(kDtype, unit(h) * 8 - 4),
                    sign | f.infinity | one_of(h >> 41 & 1, quiet, signalling));
    }
    case ValueClass::kInfinite:
      return one_of(h >> 40 & 1, narrow(kDtype, unit(h) * 8 - 4),
                    sign | (f.infinity - one_of(h >> 41 & 1, 1 + (payload & 3), 0)));
    case ValueClass::kZero:
      return sign;
    case ValueClass::kSpread:
      return narrow(kDtype, unit(h) * 220 - 110);
    case ValueClass::kNearZero:
      // +-4 at most, each halving of the magnitude as likely as the next, down to 2^-5.
      return sign | narrow(kDtype, unit(h << 1) * std::bit_cast<float>((0x7fu + 2 - static_cast<uint32_t>(h & 7)) << 23));
    case ValueClass::kSpecials:
    case ValueClass::kConsecutive:
      break;
  }
  return 0;
}

// One token's routed weights: e_k / sum e, e_k = (1 + u) * 2^-(0..7).
template <typename Element>
void router_row(Dtype dtype, uint64_t key, uint64_t index, uint64_t columns, Element* dst) {
  const auto share = [&](uint64_t k) {
    const uint64_t h = element_hash(key, index + k);
    return std::bit_cast<float>(((0x7fu - static_cast<uint32_t>(h & 7)) << 23) | static_cast<uint32_t>(h >> 41));
  };
  float sum = 0;
  for (uint64_t k = 0; k < columns; ++k) sum += share(k);
  const float inverse = 1 / sum;
  for (uint64_t k = 0; k < columns; ++k) dst[k] = static_cast<Element>(narrow(dtype, share(k) * inverse));
}

template <Dtype kDtype, ValueClass kValues, typename Element>
void fill_hashed(uint64_t key, uint64_t begin, uint64_t count, Element* dst) {
  for (uint64_t i = 0; i < count; ++i)
    dst[i] = static_cast<Element>(value_bits<kDtype, kValues>(element_hash(key, begin + i)));
}

template <Dtype kDtype, typename Element>
void fill_values(ValueClass values, bool routed, uint64_t seed, uint64_t key, uint64_t begin, uint64_t count, uint64_t cols,
                 Element* dst) {
  switch (values) {
    case ValueClass::kRouter:
      if (!routed || cols == 1) return fill_hashed<kDtype, ValueClass::kRouter>(key, begin, count, dst);
      for (uint64_t i = 0; i < count; i += cols) router_row(kDtype, key, begin + i, cols, dst + i);
      return;
    case ValueClass::kBits:
      return fill_hashed<kDtype, ValueClass::kBits>(key, begin, count, dst);
    case ValueClass::kHalfway:
      return fill_hashed<kDtype, ValueClass::kHalfway>(key, begin, count, dst);
    case ValueClass::kSubnormal:
      return fill_hashed<kDtype, ValueClass::kSubnormal>(key, begin, count, dst);
    case ValueClass::kNan:
      return fill_hashed<kDtype, ValueClass::kNan>(key, begin, count, dst);
    case ValueClass::kInfinite:
      return fill_hashed<kDtype, ValueClass::kInfinite>(key, begin, count, dst);
    case ValueClass::kZero:
      return fill_hashed<kDtype, ValueClass::kZero>(key, begin, count, dst);
    case ValueClass::kSpread:
      return fill_hashed<kDtype, ValueClass::kSpread>(key, begin, count, dst);
    case ValueClass::kNearZero:
      return fill_hashed<kDtype, ValueClass::kNearZero>(key, begin, count, dst);
    case ValueClass::kSpecials: {
      const auto list = specials(kDtype);
      uint64_t which = (begin % kSpecials + seed % kSpecials) % kSpecials;
      for (uint64_t i = 0; i < count; ++i) {
        dst[i] = static_cast<Element>(list[which]);
        if (++which == kSpecials) which = 0;
      }
      return;
    }
    case ValueClass::kConsecutive:
      for (uint64_t i = 0; i < count; ++i) dst[i] = static_cast<Element>(seed + begin + i);
  }
}

template <typename Element>
void repeat_literal(const std::vector<uint64_t>& literal, uint64_t begin, uint64_t count, Element* dst) {
  std::size_t from = begin % literal.size();
  for (uint64_t i = 0; i < count; ++i) {
    dst[i] = static_cast<Element>(literal[from]);
    if (++from == literal.size()) from = 0;
  }
}

}  // namespace

std::span<const uint32_t, kSpecials> specials(Dtype dtype) {
  static constexpr std::array<uint32_t, kSpecials> kF32{
      // Zeros, ends of the subnormals, smallest normals, ones.
      0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000, 0x3f800000, 0xbf800000,
      0x3f000000,
      // Largest, infinities, NaNs: quiet, signalling (the payload lost in 16 bits), all ones (rounding by addition wraps).
      0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffbfffff, 0x7fc12345, 0xffffffff,
      0x7fffffff,
      // Ties in bf16 to even below and above, and their neighbours; ties in f16.
      0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x3f801000, 0x3f803000, 0x3f801001,
      // The largest f16, and each side of where f16 and bf16 overflow.
      0x477fe000, 0x477fefff, 0x477ff000, 0x7f7f8000, 0x7f7f7fff,
      // Half of the smallest f16 and just above, the last tie of f16's subnormals, half of the smallest bf16.
      0x33000000, 0x33000001, 0x387fe000, 0x00008000,
      // Logits: +-88, +-89, -103.5, -104, +-110, +-17.
      0x42b00000, 0xc2b00000, 0x42b20000, 0xc2b20000, 0xc2cf0000, 0xc2d00000, 0xc2dc0000, 0x42dc0000, 0x41880000,
      0xc1880000};
  static constexpr std::array<uint32_t, kSpecials> kBf16{
      0x0000, 0x8000, 0x0001, 0x8001, 0x007f, 0x807f, 0x0080, 0x8080, 0x3f80, 0xbf80, 0x3f00, 0x7f7f, 0xff7f, 0x7f80, 0xff80,
      0x7fc0, 0xffc0, 0x7f81, 0xffbf, 0x7fc5, 0xffff, 0x7fff,
      // Around 1, 1/3, 0.1, 3.14; each side of where f16 overflows.
      0x3f81, 0xbf81, 0x3f7f, 0x3eab, 0x3dcd, 0x4049, 0x477e, 0x477f, 0x4780, 0xc780,
      // Half of the smallest f16, its neighbour, 3/2 and 3 of it; the smallest normal f16 and just below.
      0x3300, 0x3301, 0x3340, 0x33c0, 0x3880, 0x387f, 0x42b0, 0xc2b0, 0x42b2, 0xc2b2, 0xc2cf, 0xc2d0, 0xc2dc, 0x42dc, 0x4188,
      0xc188};
  static constexpr std::array<uint32_t, kSpecials> kF16{
      0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x83ff, 0x0400, 0x8400, 0x3c00, 0xbc00, 0x3800, 0x7bff, 0xfbff, 0x7c00, 0xfc00,
      0x7e00, 0xfe00, 0x7c01, 0xfdff, 0x7e55, 0xffff, 0x7fff,
      // Ties in bf16 and neighbours; subnormals that tie in bf16; 1/3, 0.1, 3.14; what bf16 rounds up to 65536.
      0x3c04, 0x3c0c, 0x3c05, 0x3c03, 0x3c01, 0x3bff, 0x0101, 0x0103, 0x0202, 0x0206, 0x3555, 0x2e66, 0x4248, 0x7bfc, 0x7bf8,
      0x0100, 0x5580, 0xd580, 0x5590, 0xd590, 0xd678, 0xd680, 0xd6e0, 0x56e0, 0x4c40, 0xcc40};
  return dtype == Dtype::kBf16 ? kBf16 : dtype == Dtype::kF16 ? kF16 : kF32;
}

void fill(const Case& c, Operand input, int64_t first, int64_t rows, void* dst) {
  const Matrix m = implied_matrix_of(c, input);
  const int64_t width = dtype_bytes(m.dtype);
  const auto operand = static_cast<std::size_t>(input);
  if (m.cols <= 0 || rows <= 0 || width == 0 || operand >= kInputs) return;
  const auto cols = static_cast<uint64_t>(m.cols);
  const uint64_t begin = static_cast<uint64_t>(first) * cols;
  const uint64_t count = static_cast<uint64_t>(rows) * cols;

  const std::vector<uint64_t>& literal = c.literal[operand];
  if (!literal.empty()) {
    if (width == 8) return repeat_literal(literal, begin, count, static_cast<uint64_t*>(dst));
    if (width == 4) return repeat_literal(literal, begin, count, static_cast<uint32_t*>(dst));
    return repeat_literal(literal, begin, count, static_cast<uint16_t*>(dst));
  }

  const uint64_t key = mix(c.seed + kGolden * (operand + 1));
  if (input == Operand::kTopkIds) {
    if (width == 8) return fill_ids(c, key, first, rows, m.cols, static_cast<int64_t*>(dst));
    if (width == 4) return fill_ids(c, key, first, rows, m.cols, static_cast<int32_t*>(dst));
    return fill_ids(c, key, first, rows, m.cols, static_cast<int16_t*>(dst));
  }
  const bool routed = input == Operand::kTopkWeights;
  const ValueClass values = routed ? c.weights : c.shared_values;
  if (m.dtype == TWINCHECK_BF16) {
    return fill_values<Dtype::kBf16>(values, routed, c.seed, key, begin, count, cols, static_cast<uint16_t*>(dst));
  }
  if (m.dtype == TWINCHECK_F16) {
    return fill_values<Dtype::kF16>(values, routed, c.seed, key, begin, count, cols, static_cast<uint16_t*>(dst));
  }
  if (width == 4)
    return fill_values<Dtype::kF32>(values, routed, c.seed, key, begin, count, cols, static_cast<uint32_t*>(dst));
  return fill_values<Dtype::kF32>(values, routed, c.seed, key, begin, count, cols, static_cast<uint64_t*>(dst));
}

}  // namespace twincheck
