// Any argument struct at all: sizes from INT64_MIN to INT64_MAX, any dtype and source number, any strides, pointers null,
// misaligned, overlapping, into an arena or anywhere else.
//
// Invariants checked:
// 1. What the reference refuses, the wrapper refuses with the same status; it launches nothing and changes no byte.
// 2. What the reference accepts and the arena holds is computed: every id and weight is what the reference says, and no
//    other byte of the arena changes.
// 3. What the reference accepts and the arena does not hold is accepted: by validate(), which the launch path calls, and by
//    the launch path itself with kernels not run, whose plan may overflow nothing. Of matrices that no process has addresses
//    for, the runtime may refuse the grid, by that error's name. The runtime fails the path's call number kMostCalls: large
//    strides can ask for a hundred thousand launches, whose number alone takes the campaign's time.
// 4. Neither the argument struct nor the runtime's memory changes.
#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "fuzz/arena.h"
#include "fuzz/fuzz.h"
#include "fuzz/mutate.h"
#include "optimized/append.h"
#include "properties/knob.h"
#include "reference/oracle.h"

using namespace twincheck;

const fuzz::Format fuzz::format = fuzz::Format::kCase;
const bool fuzz::defects = true;

namespace {

constexpr int64_t kMostCalls = 64;

// The call, of a struct that ends where args.size says. Its answer; fails where the struct changes.
int32_t call(const Case& c, const AppendArgs& args) {
  const std::size_t size = args.size < 8 ? 8 : args.size < sizeof args ? args.size : sizeof args;
  AppendArgs whole = args;
  std::unique_ptr<std::byte[]> part;
  const void* given = &whole;
  if (size < sizeof args) {
    part = std::make_unique<std::byte[]>(size);
    std::memcpy(part.get(), &args, size);
    given = part.get();
  }
  const int32_t status = fuzz::candidate().append(static_cast<const AppendArgs*>(given));
  if (std::memcmp(given, &args, size) != 0) fuzz::fail(c, "inputs_unchanged", "the argument struct was changed");
  return status;
}

void expect_status(const Case& c, Status expected, int32_t got, const char* who) {
  if (got == static_cast<int32_t>(expected)) return;
  fuzz::fail(c, expected == Status::kOk || got == TWINCHECK_OK ? "refusal" : "refusal_status",
             fmt::format("{}: expected {}, got {}", who, name(expected), word(kStatusNames, got)));
}

int64_t counter(const char* key) { return fuzz::candidate().get != nullptr ? fuzz::candidate().get(key) : 0; }

bool says(const char* error) {
  const auto last_error = fuzz::candidate().last_error;
  return last_error != nullptr && std::strstr(last_error(), error) != nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  static fuzz::Arena arena;
  static const int64_t bytes = counter("live_bytes");  // after every call again
  const Case c = decode({data, size});
  fuzz::show(c);
  const AppendArgs& args = arena.lay_out(c);
  const Status expected = reference::refusal(args);
  if (expected == Status::kOk && !arena.holds()) {
    if (fuzz::is_linked()) expect_status(c, expected, static_cast<int32_t>(optimized::validate(args).status), "validate()");
    const relate::Knob planned(fuzz::candidate(), "execute", 0);
    const relate::Knob cut(fuzz::candidate(), "fail_nth", kMostCalls);
    if (planned.turned()) {
      const int32_t status = call(c, args);
      const bool may_fail =
          (cut.turned() && counter("fail_nth") == 0) || (!arena.is_addressable() && says("hipErrorInvalidConfiguration"));
      if (status != TWINCHECK_RUNTIME_ERROR || !may_fail) expect_status(c, expected, status, "the launch path");
    }
  } else {
    arena.paint(expected == Status::kOk);
    const int64_t launches = counter("launches");
    expect_status(c, expected, call(c, args), "the wrapper");
    if (expected != Status::kOk && counter("launches") != launches)
      fuzz::fail(c, "refusal_touches_nothing", "a refused call launched a kernel");
    if (counter("live_bytes") != bytes) fuzz::fail(c, "refusal_touches_nothing", "the call kept memory of the runtime");
  }
  if (const std::string wrong = arena.wrong(); !wrong.empty())
    fuzz::fail(c, expected == Status::kOk ? "equals_reference" : "refusal_touches_nothing", wrong);
  return 0;
}
