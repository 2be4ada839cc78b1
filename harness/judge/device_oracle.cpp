#include "harness/judge/device_oracle.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "reference/oracle.h"
#include "reference/rounding.h"
#include "reference/sigmoid.h"

namespace twincheck {
namespace {

using Answer = twincheck_oracle_answer;

constexpr uint64_t kPortion = uint64_t{1} << 20;  // inputs that are tried at once
constexpr uint64_t kMostLeft = 100;               // one in so many it may leave to the CPU: 256 of bf16 are ties

// Distinct: a sequence that runs through all of them in steps.
uint32_t sample(uint64_t i) { return static_cast<uint32_t>(i * 0x9e3779b1u); }

// Empty, or what is wrong with an answer.
std::string difference(const Sweep& sweep, uint32_t input, const Answer& answer) {
  const double x = reference::widen(reference::format_of(sweep.from), input);
  const reference::Format to = reference::format_of(sweep.to);
  Answer right{};
  if (x != x) {
    const uint32_t nan = reference::quiet_nan(to);
    right = {nan, nan, nan, 7};
  } else if (sweep.source == Source::kLogits) {
    const reference::Weight interval = reference::sigmoid_interval(x, 1.0f, sweep.to);
    right = {interval.lo, reference::sigmoid_correctly_rounded(x, 1.0f, sweep.to), interval.hi, 7};
  } else {
    const uint32_t bits = reference::round(to, x);
    right = {bits, bits, bits, 7};
  }
  const auto differs = [&](uint32_t bit, uint32_t got, uint32_t expected) {
    return (answer.known & bit) != 0 && got != expected;
  };
  if (!differs(1, answer.low, right.low) && !differs(2, answer.middle, right.middle) && !differs(4, answer.high, right.high))
    return {};
  return fmt::format("{}, input {:#x}: {:#x} in [{:#x}, {:#x}] on the device, {:#x} in [{:#x}, {:#x}] on the CPU",
                     sweep.name, input, answer.middle, answer.low, answer.high, right.middle, right.low, right.high);
}

// Memory of the device and of the host for the length of a proof.
struct Portion {
  Device& device;
  uint32_t *inputs, *on_device;
  Answer *answers, *answers_on_device;

  explicit Portion(Device& d)
      : device(d),
        inputs(static_cast<uint32_t*>(d.allocate_host(kPortion * sizeof *inputs))),
        on_device(static_cast<uint32_t*>(d.allocate(kPortion * sizeof *inputs))),
        answers(static_cast<Answer*>(d.allocate_host(kPortion * sizeof *answers))),
        answers_on_device(static_cast<Answer*>(d.allocate(kPortion * sizeof *answers))) {
    if (inputs == nullptr || on_device == nullptr || answers == nullptr || answers_on_device == nullptr)
      throw OracleError("there is no memory for the oracle's inputs");
  }
  Portion(const Portion&) = delete;
  Portion& operator=(const Portion&) = delete;
  ~Portion() {
    try {
      device.release_host(inputs);
      device.release(on_device);
      device.release_host(answers);
      device.release(answers_on_device);
    } catch (const DeviceError&) {
      // The device is gone, and its memory with it.
    }
  }
};

}  // namespace

DeviceOracle::DeviceOracle(Device& device, const std::string& path) : device_(device) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw OracleError(fmt::format("{}: {}", path, dlerror()));
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) throw OracleError(fmt::format("{}: has no {}", path, name));
  };
  decltype(&twincheck_oracle_abi) abi = nullptr;
  find(abi, "twincheck_oracle_abi");
  if (const int32_t version = abi(); version != TWINCHECK_ORACLE_ABI)
    throw OracleError(fmt::format("{}: is of version {}, expected {}", path, version, TWINCHECK_ORACLE_ABI));
  find(inputs_, "twincheck_oracle_inputs");
  find(compare_, "twincheck_oracle_compare");
  find(answers_, "twincheck_oracle_answers");
  find(error_, "twincheck_oracle_error");
}

template <typename... A>
void DeviceOracle::call(int32_t (*function)(A...), A... arguments) {
  if (function(arguments...) != 0) throw OracleError(fmt::format("the oracle on the device: {}", error_()));
}

void DeviceOracle::inputs(const twincheck_oracle_range& range, void* where) {
  call<const twincheck_oracle_range*, void*, void*>(inputs_, &range, where, device_.stream());
}

void DeviceOracle::compare(const twincheck_oracle_range& range, const void* got, twincheck_oracle_found* found) {
  call<const twincheck_oracle_range*, const void*, twincheck_oracle_found*, void*>(compare_, &range, got, found,
                                                                                   device_.stream());
}

DeviceOracle::Proof DeviceOracle::prove(const Sweep& sweep, uint64_t samples, int threads) {
  const twincheck_oracle_range range{.source = static_cast<int32_t>(sweep.source),
                                     .from = static_cast<int32_t>(sweep.from),
                                     .to = static_cast<int32_t>(sweep.to),
                                     .reserved = 0,
                                     .first = 0,
                                     .count = 0};
  const bool all = sweep.from != Dtype::kF32;
  Proof proof{.inputs = all ? sweep.values() : std::min(samples, sweep.values()), .left = 0};
  Portion portion(device_);
  std::atomic<uint64_t> left = 0;
  std::mutex mutex;
  std::string wrong;
  for (uint64_t first = 0; first < proof.inputs && wrong.empty(); first += kPortion) {
    const uint64_t count = std::min(kPortion, proof.inputs - first);
    for (uint64_t i = 0; i < count; ++i) portion.inputs[i] = all ? static_cast<uint32_t>(first + i) : sample(first + i);
    device_.upload(portion.on_device, portion.inputs, count * sizeof *portion.inputs);
    device_.synchronize();
    call<const twincheck_oracle_range*, const uint32_t*, uint64_t, Answer*, void*>(
        answers_, &range, portion.on_device, count, portion.answers_on_device, device_.stream());
    device_.download(portion.answers, portion.answers_on_device, count * sizeof *portion.answers);
    device_.synchronize();

    std::atomic<uint64_t> next = 0;
    const auto work = [&] {
      constexpr uint64_t kPart = 4096;
      for (uint64_t from; (from = next.fetch_add(kPart)) < count;)
        for (uint64_t i = from; i < std::min(from + kPart, count); ++i) {
          if (portion.answers[i].known != 7) ++left;
          std::string words = difference(sweep, portion.inputs[i], portion.answers[i]);
          if (words.empty()) continue;
          const std::lock_guard lock(mutex);
          if (wrong.empty()) wrong = std::move(words);
          return;
        }
    };
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work);
    work();
    for (std::thread& other : others) other.join();
  }
  proof.left = left;
  if (!wrong.empty()) throw OracleError("the oracle on the device is not the reference: " + wrong);
  if (proof.left > proof.inputs / kMostLeft)
    throw OracleError(fmt::format("the oracle on the device leaves {} of {} inputs undecided", proof.left, proof.inputs));
  return proof;
}

}  // namespace twincheck
