#include "runtime.h"

using namespace twincheck::hip_cpu;

namespace {

using Nodes = std::shared_ptr<const std::vector<Node>>;

// Captured order is one that respects the dependencies; with a seed, any other.
void replay(const std::vector<Node>& nodes) {
  const std::uint64_t seed = state().order_seed;
  if (seed == 0) {
    for (const Node& node : nodes) node.body();
    return;
  }
  std::vector<bool> done(nodes.size());
  std::uint64_t random = mix(seed);
  for (std::size_t left = nodes.size(); left > 0; --left) {
    std::vector<std::size_t> ready;
    for (std::size_t n = 0; n < nodes.size(); ++n) {
      bool is_ready = !done[n];
      for (std::size_t earlier : nodes[n].after) is_ready = is_ready && done[earlier];
      if (is_ready) ready.push_back(n);
    }
    random = mix(random);
    const std::size_t chosen = ready[random % ready.size()];
    nodes[chosen].body();
    done[chosen] = true;
  }
}

}  // namespace

hipError_t hipGraphInstantiate(hipGraphExec_t* exec, hipGraph_t graph, hipGraphNode_t*, char*, std::size_t) {
  return hipGraphInstantiateWithFlags(exec, graph, 0);
}

hipError_t hipGraphInstantiateWithFlags(hipGraphExec_t* exec, hipGraph_t graph, unsigned long long) {
  hipError_t error = enter_device(hipErrorOutOfMemory);
  State& s = state();
  Lock guard(s.lock);
  if (error == hipSuccess && (exec == nullptr || s.graphs.count(graph) == 0)) error = hipErrorInvalidValue;
  if (error != hipSuccess) return finish(error);
  *exec = new ihipGraphExec{std::make_shared<const std::vector<Node>>(graph->nodes)};
  s.execs.insert(*exec);
  ++s.live_handles;
  return hipSuccess;
}

hipError_t hipGraphLaunch(hipGraphExec_t exec, hipStream_t handle) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorLaunchOutOfResources);
  if (error == hipSuccess) error = find_stream_for_work(handle, &stream);
  Nodes nodes;
  if (error == hipSuccess) {
    Lock guard(state().lock);
    if (state().execs.count(exec) == 0) {
      error = hipErrorInvalidValue;
    } else {
      nodes = exec->nodes;
    }
  }
  if (error == hipSuccess) error = enqueue(*stream, [nodes] { replay(*nodes); });
  return finish(error);
}

hipError_t hipGraphGetNodes(hipGraph_t graph, hipGraphNode_t* nodes, std::size_t* count) {
  hipError_t error = enter(hipErrorOperatingSystem);
  State& s = state();
  Lock guard(s.lock);
  if (error == hipSuccess && (count == nullptr || s.graphs.count(graph) == 0)) error = hipErrorInvalidValue;
  if (error == hipSuccess && nodes != nullptr) error = hipErrorNotSupported;
  if (error == hipSuccess) *count = graph->nodes.size();
  return finish(error);
}

hipError_t hipGraphExecDestroy(hipGraphExec_t exec) {
  const hipError_t told = enter(hipErrorOperatingSystem);
  State& s = state();
  Lock guard(s.lock);
  const bool known = s.execs.erase(exec) != 0;
  if (known) {
    --s.live_handles;
    delete exec;
  }
  return finish(told != hipSuccess ? told : known ? hipSuccess : hipErrorInvalidValue);
}

hipError_t hipGraphDestroy(hipGraph_t graph) {
  const hipError_t told = enter(hipErrorOperatingSystem);
  State& s = state();
  Lock guard(s.lock);
  const bool known = s.graphs.erase(graph) != 0;
  if (known) {
    --s.live_handles;
    delete graph;
  }
  return finish(told != hipSuccess ? told : known ? hipSuccess : hipErrorInvalidValue);
}
