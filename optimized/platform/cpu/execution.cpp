// Blocks and threads on one host thread.
//
// A worker is a fibre that starts threads one after another, each a plain call, so a kernel that never meets runs as a loop
// on one stack. When a thread meets others its whole worker is suspended with it and another worker goes on with the threads
// that have not started. Only when none can go on are meetings held, and those who met resumed.
#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <cstring>
#include <new>

#include "runtime.h"

#if TWINCHECK_HIP_CPU_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// A fuzzer steers by the kernel's branches, not by these.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

namespace twincheck::hip_cpu {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kStackBytes = (TWINCHECK_HIP_CPU_ASAN != 0 ? 192 : 128) * std::size_t{1024};
constexpr std::size_t kStackStride = kStackBytes + kPage;  // a page that cannot be touched lies below each stack
constexpr std::size_t kHeaderBytes = std::size_t{1} << 20;
constexpr std::size_t kFibres = kMaxBlockThreads + 1;
constexpr int kOrders = 4;
constexpr unsigned char kSharedPaint = 0xA5;

static_assert(kHeaderBytes + kFibres * kStackStride <= kArenaBytes);

struct Fibre {
  fcontext_t context;  // null: not on its stack yet
  const void* stack;
  std::size_t stack_bytes;
  void* fake_stack;
  // The suspended thread, and what it brought to the meeting.
  uint3 thread_idx;
  std::uint32_t linear;
  Meeting kind;
  int line;
  std::uint32_t source;
  std::uint64_t value, result;
};

// The threads of one block shape in the order of one seed, twice over: any `threads` slots in a row are all of them.
struct Order {
  dim3 block;
  std::uint64_t seed;
  bool made;
  ThreadSlot slots[2 * kMaxBlockThreads];
};

// A random permutation of [0, size): a Feistel network on the next even number of bits, walked until it is in range.
struct Permutation {
  std::uint64_t size, key;
  unsigned half_bits;

  Permutation() = default;
  Permutation(std::uint64_t n, std::uint64_t k) : size(n), key(k), half_bits(1) {
    while (half_bits < 32 && (std::uint64_t{1} << (2 * half_bits)) < n) ++half_bits;
  }
  std::uint64_t operator()(std::uint64_t index) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
    do {
      std::uint64_t left = index >> half_bits, right = index & mask;
      for (std::uint64_t round = 0; round < 3; ++round) {
        const std::uint64_t next = left ^ (mix(right + key + (round << 62)) & mask);
        left = right;
        right = next;
      }
      index = (left << half_bits) | right;
    } while (index >= size);
    return index;
  }
};

struct Arena : Execution {
  const Launch* launch;
  std::uint64_t seed, random;
  std::uint64_t block, blocks;  // how many were begun before this one, and how many there are
  Permutation block_order;
  const ThreadSlot* slots;

  Fibre* current;
  Fibre* from;  // who switched last
  Fibre host;
  std::uint32_t suspended_threads;  // those made ready included, until they go on
  std::uint32_t crossing_threads;   // waiting at a cross-lane operation
  std::uint32_t crossing[kMaxBlockThreads / 32];
  Fibre* suspended[kMaxBlockThreads];  // by the thread's place in the block; null once ready
  Fibre* ready[kMaxBlockThreads];
  std::uint32_t ready_next, ready_end;
  Fibre* idle[kFibres];
  std::uint32_t idle_count, fibre_count;
  std::string* why;

  Fibre fibres[kFibres];
  Order orders[kOrders];
  int next_order;
};
static_assert(sizeof(Arena) <= kHeaderBytes);

Arena& arena_of(Execution& e) { return static_cast<Arena&>(e); }

std::uint64_t draw(Arena& a) {
  a.random ^= a.random << 13;
  a.random ^= a.random >> 7;
  a.random ^= a.random << 17;
  return a.random;
}

void arrive(Arena& a, [[maybe_unused]] Fibre& self, transfer_t transfer) {
  a.from->context = transfer.fctx;
#if TWINCHECK_HIP_CPU_ASAN
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(self.fake_stack, &bottom, &bytes);
  a.from->stack = bottom;
  a.from->stack_bytes = bytes;
#endif
}

void switch_to(Arena& a, Fibre& self, Fibre& to) {
  if (&to == &self) return;
  a.from = &self;
  a.current = &to;
#if TWINCHECK_HIP_CPU_ASAN
  __sanitizer_start_switch_fiber(&self.fake_stack, to.stack, to.stack_bytes);
#endif
  arrive(a, self, jump_fcontext(to.context, nullptr));
}

Fibre& next_runnable(Arena& a);

// The base of every worker.
void work(transfer_t transfer) {
  Arena& a = arena_of(execution());
  Fibre& self = *a.current;
  arrive(a, self, transfer);
  for (;;) {
    a.launch->run(a.launch->call);
    a.idle[a.idle_count++] = &self;
    switch_to(a, self, a.suspended_threads == 0 ? a.host : next_runnable(a));
  }
}

// A worker at its base.
Fibre& idle_worker(Arena& a) {
  if (a.idle_count > 0) return *a.idle[--a.idle_count];
  const std::size_t index = a.fibre_count;
  Fibre& fibre = a.fibres[index];
  char* const bottom = reinterpret_cast<char*>(&a) + kHeaderBytes + index * kStackStride + kPage;
  if (mprotect(bottom, kStackBytes, PROT_READ | PROT_WRITE) != 0) std::abort();
  fibre = {};
  fibre.stack = bottom;
  fibre.stack_bytes = kStackBytes;
  // Tops lie apart modulo a page, or all stacks' hot lines would share one set of the cache.
  fibre.context = make_fcontext(bottom + kStackBytes - (index % (kPage / 64)) * 64, kStackBytes - kPage, work);
  ++a.fibre_count;
  return fibre;
}

void make_ready(Arena& a, Fibre& fibre, std::uint64_t result) {
  fibre.result = result;
  a.suspended[fibre.linear] = nullptr;
  a.ready[a.ready_end++] = &fibre;
}

void hold_cross_lane(Arena& a) {
  const std::uint32_t waves = (a.threads + a.wave - 1) / a.wave;
  std::uint32_t w = a.seed == 0 ? 0 : static_cast<std::uint32_t>(draw(a) % waves);
  while (a.crossing[w] == 0) w = w + 1 == waves ? 0 : w + 1;

  Fibre** const lanes = a.suspended + w * a.wave;
  const std::uint32_t count = w + 1 == waves ? a.threads - w * a.wave : a.wave;
  const Fibre* first = nullptr;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Fibre* f = lanes[i];
    if (f == nullptr || f->kind < Meeting::kShuffle) continue;
    if (first == nullptr || f->line < first->line || (f->line == first->line && f->kind < first->kind)) first = f;
  }
  if (first == nullptr) std::abort();  // crossing[w] counts them
  const Meeting kind = first->kind;
  const int line = first->line;

  std::uint64_t values[64];
  std::uint64_t active = 0, ballot = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Fibre* f = lanes[i];
    if (f == nullptr || f->kind != kind || f->line != line) continue;
    active |= std::uint64_t{1} << i;
    values[i] = f->value;
    if (f->value != 0) ballot |= std::uint64_t{1} << i;
  }
  a.ready_next = a.ready_end = 0;
  const std::uint32_t start = a.seed == 0 ? 0 : static_cast<std::uint32_t>(draw(a) % count);
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint32_t i = start + k < count ? start + k : start + k - count;
    if ((active >> i & 1) == 0) continue;
    Fibre& f = *lanes[i];
    std::uint64_t result = ballot;
    if (kind == Meeting::kShuffle)
      result = f.source < 64 && (active >> f.source & 1) != 0 ? values[f.source] : kInactiveLane;
    make_ready(a, f, result);
  }
  a.crossing[w] -= a.ready_end;
  a.crossing_threads -= a.ready_end;
}

std::string explain(const Arena& a, const Fibre& one, const Fibre& other) {
  std::uint32_t at_one = 0;
  for (std::uint32_t t = 0; t < a.threads; ++t) {
    at_one += a.suspended[t] != nullptr && a.suspended[t]->line == one.line && a.suspended[t]->kind == one.kind ? 1 : 0;
  }
  const auto text = [](std::uint32_t number) { return std::to_string(number); };
  return "block (" + text(a.block_idx.x) + "," + text(a.block_idx.y) + "," + text(a.block_idx.z) + "): " + text(at_one) +
         " of " + text(a.threads) + " threads wait at the barrier of line " + std::to_string(one.line) + ", thread " +
         text(other.linear) + " at that of line " + std::to_string(other.line);
}

// False when threads wait at different barriers.
bool hold_barrier(Arena& a) {
  const Fibre* first = nullptr;
  std::uint64_t sum = 0, waiting = 0;
  for (std::uint32_t t = 0; t < a.threads; ++t) {
    const Fibre* f = a.suspended[t];
    if (f == nullptr) continue;
    if (first == nullptr) first = f;
    if (f->line != first->line || f->kind != first->kind) {
      *a.why = explain(a, *first, *f);
      return false;
    }
    sum += f->value;
    ++waiting;
  }
  if (first == nullptr) std::abort();  // somebody waits, or the block would be done
  std::uint64_t result = sum;
  if (first->kind == Meeting::kBarrierAnd) result = sum == waiting;
  if (first->kind == Meeting::kBarrierOr) result = sum != 0;
  a.ready_next = a.ready_end = 0;
  const ThreadSlot* slots = a.slots + (a.seed == 0 ? 0 : draw(a) % a.threads);
  for (std::uint32_t t = 0; t < a.threads; ++t) {
    Fibre* f = a.suspended[slots[t].linear];
    if (f != nullptr) make_ready(a, *f, result);
  }
  return true;
}

// Who goes on when the running worker cannot: somebody ready, a worker for the threads that have not started, or whoever
// meets. The host, if none can.
Fibre& next_runnable(Arena& a) {
  if (a.ready_next == a.ready_end) {
    if (a.next != a.threads) return idle_worker(a);
    if (a.crossing_threads > 0) {
      hold_cross_lane(a);
    } else if (!hold_barrier(a)) {
      return a.host;
    }
  }
  --a.suspended_threads;
  return *a.ready[a.ready_next++];
}

const ThreadSlot* order_of(Arena& a, const dim3& block, std::uint32_t threads, std::uint64_t seed) {
  for (const Order& order : a.orders) {
    if (order.made && order.seed == seed && order.block.x == block.x && order.block.y == block.y &&
        order.block.z == block.z) {
      return order.slots;
    }
  }
  Order& order = a.orders[a.next_order];
  a.next_order = (a.next_order + 1) % kOrders;
  order.block = block;
  order.seed = seed;
  order.made = true;
  std::uint32_t linear = 0;
  for (std::uint16_t z = 0; z < block.z; ++z) {
    for (std::uint16_t y = 0; y < block.y; ++y) {
      for (std::uint16_t x = 0; x < block.x; ++x, ++linear)
        order.slots[linear] = {x, y, z, static_cast<std::uint16_t>(linear)};
    }
  }
  std::uint64_t random = seed;
  for (std::uint32_t left = threads; seed != 0 && left > 1; --left) {
    random = mix(random);
    std::swap(order.slots[left - 1], order.slots[random % left]);
  }
  std::memcpy(order.slots + threads, order.slots, threads * sizeof(ThreadSlot));
  return order.slots;
}

void begin_block(Arena& a) {
  const dim3& grid = a.grid_dim;
  a.order = a.slots;
  if (a.seed != 0) {
    const std::uint64_t index = a.block_order(a.block);
    a.block_idx.x = static_cast<std::uint32_t>(index % grid.x);
    a.block_idx.y = static_cast<std::uint32_t>(index / grid.x % grid.y);
    a.block_idx.z = static_cast<std::uint32_t>(index / grid.x / grid.y);
    a.random = mix(a.seed ^ mix(index)) | 1;
    a.order += draw(a) % a.threads;
  } else if (a.block == 0) {
    a.block_idx = {0, 0, 0};
  } else if (++a.block_idx.x == grid.x) {
    a.block_idx.x = 0;
    if (++a.block_idx.y == grid.y) {
      a.block_idx.y = 0;
      ++a.block_idx.z;
    }
  }
  a.next = 0;
  if (a.dynamic_shared != nullptr) std::memset(a.dynamic_shared, kSharedPaint, a.launch->shared_bytes);
}

void unpoison([[maybe_unused]] Arena& a) {
#if TWINCHECK_HIP_CPU_ASAN
  for (std::uint32_t f = 0; f < a.fibre_count; ++f) __asan_unpoison_memory_region(a.fibres[f].stack, kStackBytes);
#endif
}

// After a block whose threads could not meet: their stacks are left as they are and begun anew.
void abandon_fibres(Arena& a) {
  unpoison(a);
  for (std::uint32_t f = 0; f < a.fibre_count; ++f) {
    char* const bottom = static_cast<char*>(const_cast<void*>(a.fibres[f].stack));
    a.fibres[f].context = make_fcontext(bottom + kStackBytes - (f % (kPage / 64)) * 64, kStackBytes - kPage, work);
    a.idle[f] = &a.fibres[f];
  }
  a.idle_count = a.fibre_count;
  a.suspended_threads = a.crossing_threads = 0;
  std::memset(a.crossing, 0, sizeof(a.crossing));
  std::memset(a.suspended, 0, sizeof(a.suspended));
}

Arena* make_arena() {
  void* const reserved = mmap(nullptr, 2 * kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<std::uintptr_t>(reserved);
  const std::uintptr_t aligned = (start + kArenaBytes - 1) & ~(kArenaBytes - 1);
  if (aligned != start) munmap(reserved, aligned - start);
  if (aligned != start + kArenaBytes) munmap(reinterpret_cast<void*>(aligned + kArenaBytes), start + kArenaBytes - aligned);
  void* const base = reinterpret_cast<void*>(aligned);
  if (mprotect(base, kHeaderBytes, PROT_READ | PROT_WRITE) != 0) {
    munmap(base, kArenaBytes);
    return nullptr;
  }
  return new (base) Arena();
}

struct ArenaOwner {
  Arena* arena = nullptr;
  ~ArenaOwner() {
    if (arena == nullptr) return;
    unpoison(*arena);
    munmap(arena, kArenaBytes);
  }
};

thread_local Arena* t_arena = nullptr;

Arena* this_threads_arena() {
  if (t_arena == nullptr) {
    static thread_local ArenaOwner owner;
    t_arena = owner.arena = make_arena();
  }
  return t_arena;
}

}  // namespace

bool next_block(Execution& e) {
  Arena& a = arena_of(e);
  if (a.suspended_threads > 0 || ++a.block >= a.blocks) return false;
  begin_block(a);
  return true;
}

std::uint64_t meet(Meeting kind, int line, std::uint64_t value, std::uint32_t source) {
  Arena& a = arena_of(execution());
  Fibre& self = *a.current;
  self.thread_idx = a.thread_idx;
  self.linear = a.linear;
  self.kind = kind;
  self.line = line;
  self.source = source;
  self.value = value;
  a.suspended[self.linear] = &self;
  ++a.suspended_threads;
  if (kind >= Meeting::kShuffle) {
    ++a.crossing[self.linear / a.wave];
    ++a.crossing_threads;
  }
  switch_to(a, self, next_runnable(a));
  a.thread_idx = self.thread_idx;
  a.linear = self.linear;
  return self.result;
}

hipError_t execute_blocks(const Launch& launch, std::uint64_t seed, int wave, std::string* why) {
  Arena* const arena = this_threads_arena();
  if (arena == nullptr) {
    *why = "no address space for the threads' stacks";
    return hipErrorLaunchOutOfResources;
  }
  Arena& a = *arena;
  if (a.launch != nullptr) {
    *why = "a kernel launched a kernel";
    return hipErrorNotSupported;
  }
  a.dynamic_shared = nullptr;
  if (launch.shared_bytes > 0) {
    a.dynamic_shared = static_cast<unsigned char*>(std::malloc(launch.shared_bytes));
    if (a.dynamic_shared == nullptr) {
      *why = "no memory for dynamic shared memory";
      return hipErrorLaunchOutOfResources;
    }
  }
  a.launch = &launch;
  a.seed = seed;
  a.why = why;
  a.block_dim = launch.block;
  a.grid_dim = launch.grid;
  a.wave = static_cast<std::uint32_t>(wave);
  a.threads = launch.block.x * launch.block.y * launch.block.z;
  a.block = 0;
  a.blocks = std::uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  a.slots = order_of(a, launch.block, a.threads, seed);
  if (seed != 0) a.block_order = Permutation(a.blocks, mix(seed));
  a.ready_next = a.ready_end = 0;
  begin_block(a);
  a.current = &a.host;
  switch_to(a, a.host, idle_worker(a));
  std::free(a.dynamic_shared);
  a.launch = nullptr;
  if (why->empty()) return hipSuccess;
  abandon_fibres(a);
  return hipErrorLaunchFailure;
}

}  // namespace twincheck::hip_cpu

#if defined(__clang__)
#pragma clang attribute pop
#endif
