// What supports(case) is asked about: docs/python.md lists its attributes.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

#include "harness/case/case.h"

namespace twincheck::python {

// Whether the function gets None for an operand: its source does not use it. One that has a size all the same is passed on.
bool is_none(const AppendArgs& args, std::size_t operand);

// Once, before the first asked_about().
void define_case();

// The case, with a copy of the arguments: the function may keep it. Its attributes are made when they are read, as most are
// not.
pybind11::object asked_about(const AppendArgs& args);

}  // namespace twincheck::python
