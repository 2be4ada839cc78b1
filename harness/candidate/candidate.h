// A candidate: the functions of contract/candidate.h, from a shared library or linked into this process.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "contract/words.h"

namespace twincheck {

struct Candidate {
  std::string name;  // twincheck_name(), "platform.algorithm"
  std::string path;  // the library, or "(linked)"
  MemoryKind memory = MemoryKind::kHost;
  bool exact_status = false;  // held to the table's very status, and tried with short structs
  bool takes_turns = false;   // its calls in one process do not run side by side, whatever the threads

  decltype(&twincheck_append) append = nullptr;
  decltype(&twincheck_last_error) last_error = nullptr;  // may be null
  decltype(&twincheck_set) set = nullptr;                // may be null
  decltype(&twincheck_get) get = nullptr;                // may be null
  std::shared_ptr<void> library;                         // keeps it loaded; null where linked
};

// Why a library is no candidate: not there, not loadable, a symbol missing, another ABI version, an unknown memory kind.
struct LoadError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Loads a library and asks it for its name, memory kind, exact_status and takes_turns. Runs the library's code: call it in
// the process that will run the candidate. A Python file (*.py) or a compiled kernel (*.cubin, *.hsaco) is loaded through
// its adapter (harness/candidate/adapter.h).
Candidate load_candidate(const std::string& path);

// The file for a candidate given on the command line: a path, or a name like "libtwincheck_cpu.so" looked for beside the
// executable, in ../lib, then in $TWINCHECK_PATH. LoadError, naming the places, where there is none.
std::string find_library(const std::string& path_or_name);

}  // namespace twincheck
