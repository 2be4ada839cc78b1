// The host half of the runtime: everything but device code and launches.
#pragma once

#include "device.h"
#include "error.h"
#include "event.h"
#include "graph.h"
#include "memory.h"
#include "stream.h"
