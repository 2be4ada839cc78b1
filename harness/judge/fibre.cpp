#include "harness/judge/fibre.h"

#include <boost/context/fiber.hpp>
#include <boost/context/preallocated.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstddef>
#include <exception>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define TWINCHECK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TWINCHECK_ASAN 1
#endif
#endif
#ifdef TWINCHECK_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace twincheck {
namespace {

namespace context = boost::context;

constexpr std::size_t kStack = std::size_t{512} << 10;  // address space; memory as far as it is touched

struct KeptStack {  // Fibre::State owns it
  void deallocate(context::stack_context&) {}
};

}  // namespace

struct Fibre::State {
  context::protected_fixedsize_stack allocator{kStack};
  context::stack_context stack = allocator.allocate();
  context::fiber body_side, caller_side;
  std::function<void()> body;
  std::exception_ptr error;
  bool unfinished = false;
  State* outer = nullptr;  // the fibre that resumed this one
  static thread_local State* current;
  void* fake_stack = nullptr;
  const void* caller_stack = nullptr;
  std::size_t caller_stack_bytes = 0;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (body_side) switch_to([this] { body_side = {}; });
    allocator.deallocate(stack);
  }

  // The stack is another from here on: said to AddressSanitizer, by the caller who enters the body, and in the body before
  // it is left and after it is entered. `last`: it is not come back to.
  template <typename Switch>
  void switch_to(Switch change) {
#ifdef TWINCHECK_ASAN
    void* own = nullptr;
    __sanitizer_start_switch_fiber(&own, static_cast<char*>(stack.sp) - stack.size, stack.size);
#endif
    change();
#ifdef TWINCHECK_ASAN
    __sanitizer_finish_switch_fiber(own, nullptr, nullptr);
#endif
  }
  void leave([[maybe_unused]] bool last) {
#ifdef TWINCHECK_ASAN
    __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack, caller_stack, caller_stack_bytes);
#endif
  }
  void entered() {
#ifdef TWINCHECK_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, &caller_stack, &caller_stack_bytes);
#endif
  }
};

thread_local Fibre::State* Fibre::State::current = nullptr;

Fibre::Fibre() : state_(std::make_unique<State>()) {}
Fibre::~Fibre() = default;
Fibre::Fibre(Fibre&&) noexcept = default;

void Fibre::start(std::function<void()> body) {
  State* const s = state_.get();
  s->body = std::move(body);
  s->unfinished = true;
  s->fake_stack = nullptr;
  s->body_side = context::fiber(std::allocator_arg, context::preallocated(s->stack.sp, s->stack.size, s->stack), KeptStack{},
                                [s](context::fiber&& caller) {
                                  s->entered();
                                  s->caller_side = std::move(caller);
                                  try {
                                    s->body();
                                  } catch (const context::detail::forced_unwind&) {
                                    s->leave(/*last=*/true);
                                    throw;
                                  } catch (...) {
                                    s->error = std::current_exception();
                                  }
                                  s->unfinished = false;
                                  s->leave(/*last=*/true);
                                  return std::move(s->caller_side);
                                });
}

bool Fibre::unfinished() const { return state_->unfinished; }

void Fibre::resume() {
  State* const s = state_.get();
  s->outer = std::exchange(State::current, s);
  s->switch_to([s] { s->body_side = std::move(s->body_side).resume(); });
  State::current = s->outer;
  if (s->error != nullptr) std::rethrow_exception(std::exchange(s->error, nullptr));
}

bool Fibre::inside() { return State::current != nullptr; }

void Fibre::suspend() {
  State* const s = State::current;
  s->leave(/*last=*/false);
  try {
    s->caller_side = std::move(s->caller_side).resume();
  } catch (const context::detail::forced_unwind&) {
    s->entered();
    throw;
  }
  s->entered();
}

}  // namespace twincheck
