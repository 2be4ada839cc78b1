// Graphs: a capture's operations with the arguments that they were captured with, to be run again and again.
//
// A replay respects the captured dependencies and nothing else: with an order seed independent nodes run in a random order.
#pragma once

#include <cstddef>

#include "error.h"
#include "stream.h"

struct ihipGraphExec;
using hipGraphExec_t = ihipGraphExec*;
struct ihipGraphNode;
using hipGraphNode_t = ihipGraphNode*;

// error_node and log are not written. The executable graph is a copy: the graph may be destroyed.
hipError_t hipGraphInstantiate(hipGraphExec_t* exec, hipGraph_t graph, hipGraphNode_t* error_node, char* log,
                               std::size_t log_bytes);
hipError_t hipGraphInstantiateWithFlags(hipGraphExec_t* exec, hipGraph_t graph, unsigned long long flags);

// Into a capturing stream it is recorded as one node.
hipError_t hipGraphLaunch(hipGraphExec_t exec, hipStream_t stream);

// With nodes == nullptr: the number of nodes. Handles of nodes are not given out.
hipError_t hipGraphGetNodes(hipGraph_t graph, hipGraphNode_t* nodes, std::size_t* count);

hipError_t hipGraphExecDestroy(hipGraphExec_t exec);  // both release even when told to fail
hipError_t hipGraphDestroy(hipGraph_t graph);
