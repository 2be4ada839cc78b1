// libFuzzer's mutator and crossover over mutate.h: read, change fields, write; in between plain bytes.
//
// fuzz_case's inputs are of four kinds, told apart by how they begin: bytes, a line of text, a file of such lines, and a
// golden record. One keeps its kind most of the time.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "fuzz/mutate.h"
#include "fuzz/record.h"

using namespace twincheck;
using fuzz::Format;

extern "C" std::size_t LLVMFuzzerMutate(uint8_t* data, std::size_t size, std::size_t most);

namespace {

enum class Kind : uint8_t { kBytes, kLine, kFile, kRecord };
constexpr int kKinds = 4;

// Zero where the bytes are too many.
std::size_t put(const void* bytes, std::size_t size, uint8_t* data, std::size_t most) {
  if (size == 0 || size > most) return 0;
  std::memcpy(data, bytes, size);
  return size;
}

std::string_view as_text(const uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

Kind kind_of(std::string_view input) {
  if (fuzz::format != Format::kCaseOrText || input.empty()) return Kind::kBytes;
  if (input.front() == '{') return Kind::kRecord;
  if (!input.starts_with("append ") && input.front() != '#') return Kind::kBytes;
  return input.front() == '#' || input.find('\n') != std::string_view::npos ? Kind::kFile : Kind::kLine;
}

// A braced list would copy it.
std::vector<Case> only(Case c) {
  std::vector<Case> cases;
  cases.push_back(std::move(c));
  return cases;
}

// The cases of an input; of what is none of its kind, the case that its bytes are.
std::vector<Case> read(Kind kind, const uint8_t* data, std::size_t size) {
  const std::string_view input = as_text(data, size);
  try {
    if (kind == Kind::kLine) return only(parse(input));
    if (kind == Kind::kRecord) return only(parse_record(input).input);
    if (kind == Kind::kFile)
      if (std::vector<Case> cases = parse_file(input, "").cases; !cases.empty()) return cases;
  } catch (const std::runtime_error&) {
  }
  return only(decode({data, size}));
}

std::size_t write(Kind kind, const std::vector<Case>& cases, Choices& choices, uint8_t* data, std::size_t most) {
  if (kind == Kind::kBytes) {
    const std::vector<uint8_t> bytes = encode(cases.front());
    return put(bytes.data(), bytes.size(), data, most);
  }
  std::string words;
  if (kind == Kind::kLine) words = text(cases.front());
  if (kind == Kind::kRecord) words = fuzz::line_of(fuzz::record_of(cases.front()));
  for (std::size_t i = 0; kind == Kind::kFile && i < cases.size(); ++i) {
    if (choices.chance(1, 3)) words += choices.chance(1, 2) ? "# law: repeats\n" : "\n";
    words += text(cases[i]) + (choices.chance(1, 4) ? " # why\n" : "\n");
  }
  return put(words.data(), words.size(), data, most);
}

std::size_t mutate_input(Choices& choices, uint8_t* data, std::size_t size, std::size_t most) {
  Kind kind = kind_of(as_text(data, size));
  if (kind != Kind::kBytes && choices.chance(1, 3)) {
    std::string words(as_text(data, size));
    fuzz::mutate_number(words, choices);
    return put(words.data(), words.size(), data, most);
  }
  std::vector<Case> cases = read(kind, data, size);
  if (fuzz::format == Format::kCaseOrText && choices.chance(1, 12)) kind = static_cast<Kind>(choices.below(kKinds));
  const std::size_t which = choices.below(cases.size());
  if (kind == Kind::kFile && choices.chance(1, 4)) cases.push_back(cases[which]);
  fuzz::mutate(cases[which], choices, fuzz::defects);
  return write(kind, cases, choices, data, most);
}

std::size_t mutate_program(Choices& choices, uint8_t* data, std::size_t size, std::size_t most) {
  fuzz::Program program = fuzz::decode_program({data, size});
  fuzz::mutate(program, choices);
  const std::vector<uint8_t> bytes = fuzz::encode_program(program);
  return put(bytes.data(), bytes.size(), data, most);
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  static Choices choices = Choices::random(0);
  choices.reseed(seed);
  std::size_t changed = 0;
  if (!choices.chance(1, fuzz::format == Format::kCaseOrText ? 4 : 8))
    changed = fuzz::format == Format::kProgram ? mutate_program(choices, data, size, most)
                                               : mutate_input(choices, data, size, most);
  return changed != 0 ? changed : LLVMFuzzerMutate(data, size, most);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, std::size_t a_size, const uint8_t* b, std::size_t b_size,
                                                 uint8_t* out, std::size_t most, unsigned seed) {
  static Choices choices = Choices::random(0);
  choices.reseed(seed);
  if (fuzz::format == Format::kProgram) {
    fuzz::Program p = fuzz::decode_program({a, a_size});
    const fuzz::Program q = fuzz::decode_program({b, b_size});
    if (choices.chance(1, 2)) fuzz::cross(p.first, q.first, choices, /*defects=*/false);
    p.steps.resize(choices.below(p.steps.size() + 1));
    const std::size_t from = choices.below(q.steps.size() + 1);
    p.steps.insert(p.steps.end(), q.steps.begin() + static_cast<std::ptrdiff_t>(from), q.steps.end());
    const std::vector<uint8_t> bytes = fuzz::encode_program(p);
    return put(bytes.data(), bytes.size(), out, most);
  }
  const Kind kind = kind_of(as_text(a, a_size));
  std::vector<Case> cases = read(kind, a, a_size);
  const std::vector<Case> others = read(kind_of(as_text(b, b_size)), b, b_size);
  fuzz::cross(cases.front(), others.front(), choices, fuzz::defects);
  return write(kind, cases, choices, out, most);
}
