// CPython in this process: started once, never ended, its global lock free between calls.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace twincheck::python {

// Starts the interpreter, in the environment of $VIRTUAL_ENV, which has to be one of the version that this library was
// built for, or else of the interpreter that it was built for. Empty where it runs; otherwise why it does not.
std::string start();

// "3.11.2, /usr/bin/python3"
std::string version();

// Runs the file as a module of its own name, its folder first on sys.path, behind that the folder of twincheck.py.
// Throws pybind11::error_already_set.
pybind11::module_ load_file(const std::string& path);

// "ValueError: 3 columns, expected 8 (my_kernel.py:12)": the innermost line of `file` that the exception passed through.
std::string text_of(pybind11::error_already_set& error, const std::string& file);

}  // namespace twincheck::python
