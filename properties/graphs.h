// Production's wrapper through graphs, as inference engines call it: each call is captured once and launched; one with the
// very arguments of an earlier call, pointers and all, launches that call's graph again. On the CPU platform, in process:
// capture and replay are the runtime's own calls.
#pragma once

#include <hip/hip_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "contract/words.h"

namespace twincheck::session {

class Graphs {
 public:
  // `before_capture` may change the arguments that are captured: for tests of what a stale graph does.
  explicit Graphs(std::function<void(AppendArgs&)> before_capture = {});
  ~Graphs();
  Graphs(const Graphs&) = delete;
  Graphs& operator=(const Graphs&) = delete;

  // A twincheck_status. Allocates, writes and frees in between, so that what a graph kept of the runtime's memory would be
  // overwritten. Throws std::runtime_error with the runtime's name for it where a call of the graph's own fails.
  int32_t append(const AppendArgs& args);

  // The last answer's text.
  const std::string& message() const { return message_; }

  // Destroys every graph.
  void clear();

  std::size_t captured() const { return captured_; }  // calls that were captured
  std::size_t replayed() const { return replayed_; }  // calls that launched an earlier call's graph

 private:
  int32_t capture(AppendArgs args, hipGraphExec_t& exec);

  std::function<void(AppendArgs&)> before_capture_;
  hipStream_t stream_ = nullptr;  // of the device that was current
  std::map<std::string, hipGraphExec_t> graphs_;
  std::string message_;
  std::size_t captured_ = 0, replayed_ = 0;
};

}  // namespace twincheck::session
