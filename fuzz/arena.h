// A few pages that hold the seven matrices of a small case, whatever its struct says: the whole of what a wrong wrapper
// could reach by its pointers is compared byte by byte.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "harness/case/case.h"
#include "reference/oracle.h"

namespace twincheck::fuzz {

class Arena {
 public:
  // The struct that the case says, its operands' own pointers one behind another in the arena. A matrix that does not fit
  // lies 8 TiB from any other, where no memory is: a large call is one that the table may accept. Valid until the next call.
  const AppendArgs& lay_out(const Case& c);

  // Whether every matrix that the source uses and that is not empty lies in the arena. For structs that the table accepts.
  bool holds() const;

  // Whether every such matrix is smaller than the 2^47 bytes that a process has addresses for.
  bool is_addressable() const;

  // Fills the arena and keeps a copy; `computes`: asks the reference what the outputs must be. Inputs of the shape that the
  // case's sizes imply hold the case's data, everything else a pattern.
  void paint(bool computes);

  // What is wrong after the call, empty where nothing is: an output that is not the reference's, a byte that changed.
  // Nothing is, where paint() was not called since lay_out().
  std::string wrong();

 private:
  static constexpr std::size_t kBytes = 8192;

  std::string wrong_output() const;
  void forget_outputs();

  alignas(256) std::array<std::byte, kBytes> bytes_;
  std::array<std::byte, kBytes> before_;
  std::size_t used_ = 0;
  const Case* case_ = nullptr;
  AppendArgs args_{};
  bool painted_ = false, computes_ = false;
  reference::Expected expected_;
};

}  // namespace twincheck::fuzz
