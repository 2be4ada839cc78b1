#include "harness/candidate/python/interpreter.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

namespace twincheck::python {
namespace {

namespace py = pybind11;
namespace fs = std::filesystem;

// The file that holds an address; empty where that is not known.
std::string file_of(const void* address) {
  Dl_info info{};
  return dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

std::string initialize() {
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  config.install_signal_handlers = 0;
  config.parse_argv = 0;
  config.buffered_stdio = 0;  // what it printed is there when the process is killed
  config.write_bytecode = 0;
  std::string program = TWINCHECK_PYTHON;
  if (const char* environment = std::getenv("VIRTUAL_ENV"); environment != nullptr && *environment != 0)
    program = (fs::path(environment) / "bin" / "python3").string();
  PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, program.c_str());
  if (PyStatus_Exception(status) == 0) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status) == 0) return {};
  return std::string("Python does not start: ") + (status.err_msg != nullptr ? status.err_msg : "no reason given");
}

}  // namespace

std::string start() {
  if (Py_IsInitialized() != 0) return {};
  // Extension modules expect Python's symbols in the global namespace, and this library was loaded outside it.
  const std::string python = file_of(reinterpret_cast<const void*>(&Py_IsInitialized));
  if (!python.empty()) (void)dlopen(python.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
  if (std::string trouble = initialize(); !trouble.empty()) return trouble;
  (void)PyEval_SaveThread();
  return {};
}

std::string version() {
  const std::string full = Py_GetVersion();
  const py::object executable = py::module_::import("sys").attr("executable");
  return full.substr(0, full.find(' ')) + ", " + std::string(py::str(executable));
}

py::module_ load_file(const std::string& path) {
  const py::object places = py::module_::import("sys").attr("path");
  const fs::path here = fs::path(file_of(reinterpret_cast<const void*>(&load_file))).parent_path();
  places.attr("insert")(0, (here / "python").string());
  places.attr("insert")(0, fs::path(path).parent_path().string());
  const std::string name = fs::path(path).stem().string();
  const py::module_ util = py::module_::import("importlib.util");
  const py::object spec = util.attr("spec_from_file_location")(name, path);
  py::object module = util.attr("module_from_spec")(spec);
  py::module_::import("sys").attr("modules")[py::str(name)] = module;
  spec.attr("loader").attr("exec_module")(module);
  return py::reinterpret_borrow<py::module_>(module);
}

std::string text_of(py::error_already_set& error, const std::string& file) {
  std::string text = py::str(error.type().attr("__name__"));
  try {
    const std::string words = py::str(error.value());
    if (!words.empty()) text += ": " + words;
    int line = 0;
    py::object at = error.trace() ? py::reinterpret_borrow<py::object>(error.trace()) : py::none();
    for (; !at.is_none(); at = at.attr("tb_next"))
      if (std::string(py::str(at.attr("tb_frame").attr("f_code").attr("co_filename"))) == file)
        line = at.attr("tb_lineno").cast<int>();
    if (line > 0) text += " (" + file_name(file) + ":" + std::to_string(line) + ")";
  } catch (py::error_already_set&) {
    text += ": an exception that cannot be shown";
  }
  return text;
}

}  // namespace twincheck::python
