#include "properties/graphs.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "optimized/append.h"

namespace twincheck::session {
namespace {

constexpr std::size_t kMostGraphs = 64;
constexpr std::size_t kScratchBytes = 4096;

void require(hipError_t error) {
  if (error != hipSuccess) throw std::runtime_error(hipGetErrorName(error));
}

}  // namespace

Graphs::Graphs(std::function<void(AppendArgs&)> before_capture) : before_capture_(std::move(before_capture)) {
  require(hipStreamCreateWithFlags(&stream_, hipStreamNonBlocking));
}

Graphs::~Graphs() {
  clear();
  static_cast<void>(hipStreamDestroy(stream_));
}

int32_t Graphs::append(const AppendArgs& given) {
  AppendArgs args{};
  std::memcpy(&args, &given, std::min<std::size_t>(given.size, sizeof args));
  args.stream = stream_;
  std::string key(sizeof args, '\0');
  std::memcpy(key.data(), &args, sizeof args);
  auto found = graphs_.find(key);
  if (found != graphs_.end()) {
    ++replayed_;
  } else {
    if (graphs_.size() >= kMostGraphs) clear();
    hipGraphExec_t exec = nullptr;
    const int32_t status = capture(args, exec);
    if (status != TWINCHECK_OK) return status;
    ++captured_;
    found = graphs_.emplace(std::move(key), exec).first;
  }
  void* scratch = nullptr;
  require(hipMalloc(&scratch, kScratchBytes));
  require(hipMemset(scratch, 0xee, kScratchBytes));
  require(hipGraphLaunch(found->second, stream_));
  require(hipStreamSynchronize(stream_));
  require(hipFree(scratch));
  return TWINCHECK_OK;
}

int32_t Graphs::capture(AppendArgs args, hipGraphExec_t& exec) {
  if (before_capture_) before_capture_(args);
  hipGraph_t graph = nullptr;
  require(hipStreamBeginCapture(stream_, hipStreamCaptureModeGlobal));
  const optimized::Result result = optimized::append(args);
  message_ = result.message;
  require(hipStreamEndCapture(stream_, &graph));
  if (result.status == Status::kOk) require(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
  require(hipGraphDestroy(graph));
  return static_cast<int32_t>(result.status);
}

void Graphs::clear() {
  for (const auto& [key, exec] : graphs_) static_cast<void>(hipGraphExecDestroy(exec));
  graphs_.clear();
}

}  // namespace twincheck::session
