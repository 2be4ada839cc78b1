// libFuzzer's mutator and crossover over mutate.h: decode, change fields, encode; in between plain bytes.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "fuzz/mutate.h"

using namespace twincheck;
using fuzz::Format;

extern "C" std::size_t LLVMFuzzerMutate(uint8_t* data, std::size_t size, std::size_t most);

namespace {

// Zero where the bytes are too many.
std::size_t put(const void* bytes, std::size_t size, uint8_t* data, std::size_t most) {
  if (size == 0 || size > most) return 0;
  std::memcpy(data, bytes, size);
  return size;
}
std::size_t put(const std::vector<uint8_t>& bytes, uint8_t* data, std::size_t most) {
  return put(bytes.data(), bytes.size(), data, most);
}

std::string_view as_text(const uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }
bool is_text(const uint8_t* data, std::size_t size) { return as_text(data, size).starts_with("append "); }

Case read(const uint8_t* data, std::size_t size) {
  if (fuzz::format == Format::kCaseOrText && is_text(data, size)) {
    try {
      return parse(as_text(data, size));
    } catch (const ParseError&) {
    }
  }
  return decode({data, size});
}

std::size_t write(const Case& c, bool as_words, uint8_t* data, std::size_t most) {
  if (!as_words) return put(encode(c), data, most);
  const std::string words = text(c);
  return put(words.data(), words.size(), data, most);
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  static Choices choices = Choices::random(0);
  choices.reseed(seed);
  std::size_t changed = 0;
  if (fuzz::format == Format::kProgram) {
    if (!choices.chance(1, 8)) {
      fuzz::Program program = fuzz::decode_program({data, size});
      fuzz::mutate(program, choices);
      changed = put(fuzz::encode_program(program), data, most);
    }
  } else if (!choices.chance(1, fuzz::format == Format::kCase ? 8 : 2)) {
    const bool words = fuzz::format == Format::kCaseOrText && (is_text(data, size) || choices.chance(1, 16));
    Case c = read(data, size);
    fuzz::mutate(c, choices, fuzz::defects);
    changed = write(c, words, data, most);
  }
  return changed != 0 ? changed : LLVMFuzzerMutate(data, size, most);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, std::size_t a_size, const uint8_t* b, std::size_t b_size,
                                                 uint8_t* out, std::size_t most, unsigned seed) {
  static Choices choices = Choices::random(0);
  choices.reseed(seed);
  if (fuzz::format == Format::kProgram) {
    fuzz::Program p = fuzz::decode_program({a, a_size});
    const fuzz::Program q = fuzz::decode_program({b, b_size});
    if (choices.chance(1, 2)) p.first = fuzz::cross(p.first, q.first, choices);
    p.steps.resize(choices.below(p.steps.size() + 1));
    const std::size_t from = choices.below(q.steps.size() + 1);
    p.steps.insert(p.steps.end(), q.steps.begin() + static_cast<std::ptrdiff_t>(from), q.steps.end());
    return put(fuzz::encode_program(p), out, most);
  }
  return write(fuzz::cross(read(a, a_size), read(b, b_size), choices),
               fuzz::format == Format::kCaseOrText && is_text(a, a_size), out, most);
}
