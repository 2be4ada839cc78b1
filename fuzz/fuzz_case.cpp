// The same bytes as a case, as a line of text, as a file of cases and as a recorded output in JSON.
//
// Invariants checked:
// 1. decode() is total, and decode(encode(c)) == c, parse(text(c)) == c; both of whatever any reader gives.
// 2. parse() gives a case or a ParseError whose column is on the line; parse_file() cases and their ascending lines, or a
//    FileError; parse_record() a record whose outputs have its sizes, or a RecordError. Nothing else is thrown.
// 3. No reader ever has more memory than the input warrants.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string_view>

#include "fuzz/fuzz.h"
#include "fuzz/mutate.h"
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

void round_trips(const Case& c) {
  if (decode(encode(c)) != c) fuzz::fail(c, "round_trip", "decode(encode(c)) is another case");
  if (parse(text(c)) != c) fuzz::fail(c, "round_trip", "parse(text(c)) is another case");
}

// Runs a reader, and holds it to the memory that `size` bytes of input warrant.
template <typename Reader>
void within(std::size_t size, std::size_t per_byte, const char* who, Reader reader) {
  const std::size_t before = held;
  most = held;
  reader();
  const std::size_t peak = most - before, allowed = 65536 + per_byte * size;
  if (peak > allowed)
    fuzz::fail(Case{}, "memory", fmt::format("{} had {} bytes for {} bytes of input, {} allowed", who, peak, size, allowed));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  within(size, 64, "decode", [&] {
    const Case c = decode({data, size});
    fuzz::show(c);
    round_trips(c);
  });
  within(size, 64, "parse", [&] {
    try {
      round_trips(parse(line));
    } catch (const ParseError& e) {
      if (e.column < 1 || e.column > size + 1)
        fuzz::fail(Case{}, "parse", fmt::format("column {} of a line of {} bytes", e.column, size));
    }
  });
  within(size, 1024, "parse_file", [&] {
    try {
      const CaseFile file = parse_file(line, "fuzz");
      if (file.cases.size() != file.lines.size() || !std::is_sorted(file.lines.begin(), file.lines.end()))
        fuzz::fail(Case{}, "parse_file", "a case without a line of its own");
      for (const Case& c : file.cases) round_trips(c);
    } catch (const FileError&) {
    }
  });
  if (line.starts_with('{'))
    within(size, 256, "parse_record", [&] {
      try {
        const Recorded record = parse_record(line);
        const auto elements = static_cast<std::size_t>(record.input.tokens * (record.input.top_k + record.input.shared));
        if (record.out_ids.size() != elements || record.out_weights.size() != elements)
          fuzz::fail(record.input, "parse_record", "outputs of other sizes than the record's");
        round_trips(record.input);
      } catch (const RecordError&) {
      }
    });
  return 0;
}
