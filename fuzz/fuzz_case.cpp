// The same bytes as a case, as a line of text, as a file of cases and as a recorded output in JSON.
//
// Invariants checked:
// 1. decode() is total, and decode(encode(c)) == c, parse(text(c)) == c; both of whatever any reader gives.
// 2. parse() gives a case or a ParseError whose column is on the line; parse_file() cases, each with a line of its own, or a
//    FileError; parse_record() a record or a RecordError. Nothing else is thrown.
// 3. A record's sizes and base id are numbers that it may have, its arrays are as long as its sizes say, and their elements
//    fit their dtypes. Written down by another hand (record.h), a record is read as the same; and so is one made of the
//    case.
// 4. No reader ever has more memory than the input warrants.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <new>
#include <string_view>

#include "fuzz/fuzz.h"
#include "fuzz/mutate.h"
#include "fuzz/record.h"
#include "harness/judge/recorded.h"

namespace {
std::size_t held = 0, most = 0;

void* take(std::size_t size) {
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) throw std::bad_alloc();
  held += malloc_usable_size(p);
  most = std::max(most, held);
  return p;
}
void give(void* p) noexcept {
  if (p != nullptr) held -= malloc_usable_size(p);
  std::free(p);
}
}  // namespace

void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void operator delete(void* p) noexcept { give(p); }
void operator delete[](void* p) noexcept { give(p); }
void operator delete(void* p, std::size_t) noexcept { give(p); }
void operator delete[](void* p, std::size_t) noexcept { give(p); }

using namespace twincheck;

const fuzz::Format fuzz::format = fuzz::Format::kCaseOrText;
const bool fuzz::defects = true;

namespace {

std::string_view input;

// Names the input: the text itself, or the case that the bytes are.
[[noreturn]] void fail(std::string_view law, const std::string& detail) {
  const bool is_text = std::all_of(input.begin(), input.end(), [](unsigned char ch) { return ch >= 0x20 || ch == '\n'; });
  if (is_text) fuzz::fail_input(input, law, detail);
  fuzz::fail(decode({reinterpret_cast<const uint8_t*>(input.data()), input.size()}), law, detail);
}

// The lines of text that say a case; of bytes, the case that they are; of a golden record, nothing.
void show() {
  if (!fuzz::shows() || input.starts_with('{')) return;
  if (!input.starts_with("append ") && !input.starts_with('#'))
    return fuzz::show(decode({reinterpret_cast<const uint8_t*>(input.data()), input.size()}));
  for (std::string_view rest = input; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.starts_with("append ")) fuzz::show(line);
  }
}

void round_trips(const Case& c) {
  if (decode(encode(c)) != c) fuzz::fail(c, "round_trip", "decode(encode(c)) is another case");
  Case again;
  try {
    again = parse(text(c));
  } catch (const ParseError& e) {
    fuzz::fail(c, "round_trip", fmt::format("parse(text(c)) throws: column {}: {}", e.column, e.what()));
  }
  if (again != c) fuzz::fail(c, "round_trip", "parse(text(c)) is another case");
}

bool is_same(const Recorded& a, const Recorded& b) {
  return a.input == b.input && a.out_ids == b.out_ids && a.out_weights == b.out_weights;
}

void reads_as(const Recorded& record, const std::string& line) {
  try {
    if (!is_same(parse_record(line), record)) fuzz::fail_input(line, "record", "read as another record than was written");
  } catch (const RecordError& e) {
    fuzz::fail_input(line, "record", fmt::format("a record that was written is refused: {}", e.what()));
  }
}

void check_record(const Recorded& record) {
  const Case& c = record.input;
  for (const int64_t size : {c.tokens, c.top_k, c.shared, c.hidden})
    if (size < 0) fail("record", "a size is negative");
  const auto elements = [](int64_t rows, int64_t cols) { return static_cast<unsigned __int128>(rows) * cols; };
  const auto is = [&](Operand o, int64_t rows, int64_t cols, Dtype d) {
    const std::vector<uint64_t>& bits = c.literal[static_cast<std::size_t>(o)];
    if (bits.size() != elements(rows, cols)) fail("record", "an input of another size than the record's");
    const int64_t bytes = dtype_bytes(static_cast<int32_t>(d));
    for (const uint64_t b : bits)
      if (bytes < 8 && b >> (8 * bytes) != 0) fail("record", "an element does not fit its dtype");
  };
  is(Operand::kTopkIds, c.tokens, c.top_k, c.ids_dtype);
  is(Operand::kTopkWeights, c.tokens, c.top_k, c.weights_dtype);
  const bool shares = c.source == TWINCHECK_WEIGHTS || c.source == TWINCHECK_LOGITS;
  is(Operand::kShared, shares ? c.tokens : 0, c.broadcast ? 1 : c.shared, c.shared_dtype);
  is(Operand::kHidden, c.source == TWINCHECK_GATE ? c.tokens : 0, c.hidden, c.shared_dtype);
  is(Operand::kGate, c.source == TWINCHECK_GATE ? 1 : 0, c.hidden, c.shared_dtype);
  if (record.out_ids.size() != elements(c.tokens, c.top_k + c.shared) || record.out_weights.size() != record.out_ids.size())
    fail("record", "outputs of other sizes than the record's");
  for (const int64_t id : record.out_ids)
    if (c.ids_dtype == Dtype::kI32 && id != static_cast<int32_t>(id)) fail("record", "an output id does not fit i32");
  for (const uint32_t b : record.out_weights)
    if (c.weights_dtype != Dtype::kF32 && b > 0xffff) fail("record", "an output weight does not fit its dtype");
  reads_as(record, fuzz::line_of(record));
  round_trips(c);
}

// Runs a reader, and holds it to the memory that `size` bytes of input warrant.
template <typename Reader>
void within(std::size_t size, std::size_t per_byte, const char* who, Reader reader) {
  const std::size_t before = held;
  most = held;
  reader();
  const std::size_t peak = most - before, allowed = 65536 + per_byte * size;
  if (peak > allowed)
    fail("memory", fmt::format("{} had {} bytes for {} bytes of input, {} allowed", who, peak, size, allowed));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  input = {reinterpret_cast<const char*>(data), size};
  show();
  within(size, 64, "decode", [&] { round_trips(decode({data, size})); });
  if (fuzz::hash({data, size}) % 4 == 0) {
    const Recorded record = fuzz::record_of(decode({data, size}));
    reads_as(record, fuzz::line_of(record));
  }
  within(size, 64, "parse", [&] {
    try {
      round_trips(parse(input));
    } catch (const ParseError& e) {
      if (e.column < 1 || e.column > size + 1) fail("parse", fmt::format("column {} of a line of {} bytes", e.column, size));
    }
  });
  within(size, 1024, "parse_file", [&] {
    try {
      const CaseFile file = parse_file(input, "fuzz");
      const bool ascends =
          std::adjacent_find(file.lines.begin(), file.lines.end(), std::greater_equal<>()) == file.lines.end();
      if (file.cases.size() != file.lines.size() || !ascends) fail("parse_file", "a case without a line of its own");
      for (const Case& c : file.cases) round_trips(c);
    } catch (const FileError&) {
    }
  });
  if (input.starts_with('{'))
    within(size, 1024, "parse_record", [&] {
      try {
        check_record(parse_record(input));
      } catch (const RecordError&) {
      }
    });
  return 0;
}
