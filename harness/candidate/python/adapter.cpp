// libtwincheck_python.so: a Python file with a function append() as a candidate. docs/python.md is its contract.
#include <pybind11/pybind11.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <mutex>
#include <set>

#include "harness/candidate/adapter.h"
#include "harness/candidate/python/asked.h"
#include "harness/candidate/python/interpreter.h"
#include "harness/candidate/python/signals.h"
#include "harness/candidate/python/tensors.h"

namespace twincheck::python {
namespace {

namespace py = pybind11;
namespace fs = std::filesystem;

constexpr const char* kExpected =
    "def append(topk_ids, topk_weights, num_shared, base_id, *, source, shared=None, hidden=None, gate=None, scale=1.0, "
    "remap=0, out=None)";
constexpr std::array kOptional{"shared", "hidden", "gate", "scale", "remap", "out"};

thread_local std::string last_error;

int32_t answer(int32_t status, std::string words) {
  last_error = std::move(words);
  return status;
}

// What keeps a call from being made, or a result from being one: the status to answer, and why.
struct Refused {
  int32_t status;
  std::string words;
};

// The file, as loaded; made once in the process and never destroyed, as the interpreter is not.
struct File {
  std::string path, name;
  MemoryKind memory = MemoryKind::kHost;
  std::unique_ptr<Tensors> tensors;
  py::object append, supports;
  std::set<std::string, std::less<>> takes;  // of kOptional

  bool takes_out() const { return takes.count("out") != 0; }
};
File* file = nullptr;
std::mutex opening;

// Whether the bytes from the first to the last element of two matrices meet. For matrices that tensors can be.
bool meet(const Matrix& a, const Matrix& b) {
  if (is_empty(a) || is_empty(b)) return false;
  const auto extent = [](const Matrix& m) {
    const __int128 begin = reinterpret_cast<uintptr_t>(m.data);
    const __int128 elements = (m.rows > 1 ? static_cast<__int128>(m.rows - 1) * m.row_stride : 0) + m.cols;
    return std::pair{begin, begin + elements * dtype_bytes(m.dtype)};
  };
  const auto [a_begin, a_end] = extent(a);
  const auto [b_begin, b_end] = extent(b);
  return a_begin < b_end && b_begin < a_end;
}

struct Shape {
  int64_t rows, cols;
  int32_t dtype;
};

// What append() is to return for its inputs; columns -1 where 64 bits do not count them.
Shape wanted(const AppendArgs& a, const Matrix& input) {
  Shape shape{a.topk_ids.rows, -1, input.dtype};
  if (__builtin_add_overflow(a.topk_ids.cols, a.num_shared, &shape.cols)) shape.cols = -1;
  return shape;
}

bool fits(const Matrix& out, const Shape& shape) {
  return out.rows == shape.rows && out.cols == shape.cols && out.dtype == shape.dtype;
}

// A function that does not take out cannot refuse one: what is wrong with the outputs is not put to it.
std::string trouble_with_outputs(const AppendArgs& a) {
  const auto trouble = [&](const char* name, const Matrix& out, const Matrix& input, bool other) -> std::string {
    const std::string who = "append() takes no out, and " + std::string(name);
    if (!fits(out, wanted(a, input))) return who + " is not of the result's shape and dtype";
    if (out.rows > 1 && !is_empty(out) && out.row_stride < out.cols) return who + " has a row stride below its columns";
    if (!is_empty(out) && reinterpret_cast<uintptr_t>(out.data) % static_cast<uintptr_t>(dtype_bytes(out.dtype)) != 0)
      return who + " is misaligned";
    if (other) return who + " overlaps another matrix";
    return {};
  };
  const auto overlaps = [&](const Matrix& out, const Matrix& input, const Matrix& other) {
    if (meet(out, other)) return true;
    for (std::size_t i = 0; i < 5; ++i) {
      const Matrix& in = a.*kMatrices[i];
      if (is_none(a, i) || !meet(out, in)) continue;
      if (&in != &input || a.remap_local_routed > 0 || !is_left_part(in, out)) return true;
    }
    return false;
  };
  std::string words = trouble("out_ids", a.out_ids, a.topk_ids, overlaps(a.out_ids, a.topk_ids, a.out_weights));
  if (words.empty())
    words = trouble("out_weights", a.out_weights, a.topk_weights, overlaps(a.out_weights, a.topk_weights, a.out_ids));
  return words;
}

void ask_supports(const AppendArgs& a) {
  if (file->supports.is_none()) return;
  const py::object said = file->supports(asked_about(a));
  if (said.is(py::bool_(true))) return;
  if (said.is(py::bool_(false))) throw Refused{TWINCHECK_UNSUPPORTED, "supports() answered False"};
  if (py::isinstance<py::str>(said)) throw Refused{TWINCHECK_UNSUPPORTED, said.cast<std::string>()};
  throw Refused{TWINCHECK_RUNTIME_ERROR,
                "supports() answered " + std::string(py::repr(said)) + ", expected True, False or a str"};
}

std::string pair_text(int64_t first, int64_t second) {
  return "(" + std::to_string(first) + ", " + std::to_string(second) + ")";
}

// Looks at one of the two returned arrays, whatever the case: a wrong one is no refusal.
Result checked(const char* name, const py::object& returned, const Shape& shape, const Matrix& out) {
  const auto wrong = [&](const std::string& words) {
    return Refused{TWINCHECK_RUNTIME_ERROR, "append() returned " + std::string(name) + " " + words};
  };
  Result r = file->tensors->look_at(returned, shape.dtype);
  if (!r.trouble.empty()) throw wrong("that is " + r.trouble);
  if (r.shape[0] != shape.rows || r.shape[1] != shape.cols)
    throw wrong("of shape " + pair_text(r.shape[0], r.shape[1]) + ", expected " + pair_text(shape.rows, shape.cols));
  if (!r.dtype.empty()) throw wrong("of dtype " + r.dtype + ", expected " + file->tensors->dtype_name(shape.dtype));
  if (shape.rows > 0 && shape.cols > 0 &&
      ((shape.cols > 1 && r.strides[1] != 1) || (shape.rows > 1 && r.strides[0] < shape.cols)))
    throw wrong("with strides " + pair_text(r.strides[0], r.strides[1]) +
                " in elements, expected unit column stride and a row stride of at least " + std::to_string(shape.cols));
  if (!fits(out, shape))
    throw wrong("of shape " + pair_text(shape.rows, shape.cols) + " and dtype " + file->tensors->dtype_name(shape.dtype) +
                ", which the out that it was given is not");
  return r;
}

void call(const AppendArgs& a) {
  for (std::size_t i = 0; i < kOperands; ++i)
    if (const Matrix& m = a.*kMatrices[i]; !is_none(a, i))
      if (std::string words = file->tensors->cannot_be(kOperandNames[i], m); !words.empty())
        throw Refused{TWINCHECK_UNSUPPORTED, std::move(words)};
  ask_supports(a);
  if (!file->takes_out())
    if (std::string words = trouble_with_outputs(a); !words.empty()) throw Refused{TWINCHECK_UNSUPPORTED, std::move(words)};
  file->tensors->enter(a.stream);
  std::array<py::object, kOperands> views;
  for (std::size_t i = 0; i < views.size(); ++i)
    views[i] = is_none(a, i) ? py::none() : file->tensors->view(a.*kMatrices[i]);
  const auto& [topk_ids, topk_weights, shared, hidden, gate, out_ids, out_weights] = views;

  py::dict keywords;
  const auto pass = [&](const char* name, const py::object& value, bool matters) {
    if (file->takes.count(name) != 0) {
      keywords[name] = value;
    } else if (matters) {
      throw Refused{TWINCHECK_UNSUPPORTED, "append() takes no " + std::string(name)};
    }
  };
  keywords["source"] = std::string(word(kSourceNames, a.source));
  pass("shared", shared, !shared.is_none());
  pass("hidden", hidden, !hidden.is_none());
  pass("gate", gate, !gate.is_none());
  pass("scale", py::float_(static_cast<double>(a.scale)), a.scale != 1.0f);
  pass("remap", py::int_(a.remap_local_routed), a.remap_local_routed != 0);
  if (file->takes_out()) keywords["out"] = py::make_tuple(out_ids, out_weights);
  const py::object returned = file->append(topk_ids, topk_weights, a.num_shared, a.base_id, **keywords);

  if (returned.is_none()) {
    if (file->takes_out()) return;
    throw Refused{TWINCHECK_RUNTIME_ERROR, "append() takes no out and returned None, expected (ids, weights)"};
  }
  const bool pair = py::isinstance<py::tuple>(returned) || py::isinstance<py::list>(returned);
  if (!pair || py::len(returned) != 2)
    throw Refused{TWINCHECK_RUNTIME_ERROR,
                  "append() returned a " + std::string(py::str(py::type::of(returned).attr("__name__"))) +
                      (pair ? " of " + std::to_string(py::len(returned)) : "") + ", expected (ids, weights)"};
  const py::sequence both = py::reinterpret_borrow<py::sequence>(returned);
  const py::object ids = both[0], weights = both[1];
  const Result r_ids = checked("ids", ids, wanted(a, a.topk_ids), a.out_ids);
  const Result r_weights = checked("weights", weights, wanted(a, a.topk_weights), a.out_weights);
  const auto is_there = [](const Result& r, const Matrix& out) {
    return is_empty(out) || (r.data == out.data && (out.rows <= 1 || r.strides[0] == out.row_stride));
  };
  if (!is_there(r_ids, a.out_ids)) file->tensors->copy(out_ids, ids);
  if (!is_there(r_weights, a.out_weights)) file->tensors->copy(out_weights, weights);
}

// A function that ends the process ends it: as from C, the case is lost and reported.
[[noreturn]] void exit_with(const py::object& value) {
  const py::object code = py::getattr(value, "code", py::none());
  if (code.is_none()) std::exit(0);
  if (py::isinstance<py::int_>(code)) std::exit(static_cast<int>(code.cast<int64_t>() & 0xff));
  std::fprintf(stderr, "%s\n", std::string(py::str(code)).c_str());
  std::exit(1);
}

int32_t answer_of(const AppendArgs& a) {
  try {
    call(a);
    return TWINCHECK_OK;
  } catch (Refused& refused) {
    return answer(refused.status, std::move(refused.words));
  } catch (py::error_already_set& e) {
    if (e.matches(PyExc_SystemExit)) exit_with(e.value());
    // The caller knows whether there was something to refuse.
    const bool refused = e.matches(PyExc_Exception) && !file->tensors->is_of_runtime(e);
    return answer(refused ? TWINCHECK_BAD_PARAMETER : TWINCHECK_RUNTIME_ERROR, text_of(e, file->path));
  }
}

int32_t append(const AppendArgs& a) {
  if (a.size < sizeof a) return answer(TWINCHECK_BAD_PARAMETER, "an argument struct of another version");
  if (word(kSourceNames, a.source) == "?")
    return answer(TWINCHECK_UNSUPPORTED, "source " + std::to_string(a.source) + " has no name to pass on");
  const py::gil_scoped_acquire lock;
  static const Signals signals;
  const int32_t status = answer_of(a);
  signals.restore();
  return status;
}

MemoryKind memory_of(const py::module_& module) {
  if (!py::hasattr(module, "runs_on")) return MemoryKind::kHost;
  const py::object said = module.attr("runs_on");
  if (py::isinstance<py::str>(said)) {
    const auto platform = said.cast<std::string>();
    if (platform == "cpu") return MemoryKind::kHost;
    if (platform == "hip") return MemoryKind::kHip;
    if (platform == "cuda") return MemoryKind::kCuda;
  }
  throw Refused{1, "runs_on is " + std::string(py::repr(said)) + ", expected 'cpu', 'cuda' or 'hip'"};
}

// Which of the optional arguments the function takes. That it can be called at all is tried by binding.
std::set<std::string, std::less<>> arguments_of(const py::object& function) {
  std::set<std::string, std::less<>> takes(kOptional.begin(), kOptional.end());
  const py::module_ inspect = py::module_::import("inspect");
  py::object signature;
  try {
    signature = inspect.attr("signature")(function);
  } catch (py::error_already_set&) {
    return takes;  // not written in Python
  }
  const py::dict parameters(signature.attr("parameters"));
  const py::object parameter = inspect.attr("Parameter");
  bool all = false;
  for (const auto& [name, p] : parameters) all |= p.attr("kind").is(parameter.attr("VAR_KEYWORD"));
  py::dict keywords;
  keywords["source"] = "constant";
  for (const char* name : kOptional) {
    const bool named = parameters.contains(name) && !parameters[name].attr("kind").is(parameter.attr("POSITIONAL_ONLY"));
    if (!all && !named) takes.erase(name);
    if (takes.count(name) != 0) keywords[name] = py::none();
  }
  try {
    (void)signature.attr("bind")(py::none(), py::none(), 0, 0, **keywords);
  } catch (py::error_already_set& e) {
    throw Refused{1, "append" + std::string(py::str(signature)) + " cannot be called: " + std::string(py::str(e.value())) +
                         "; expected " + kExpected};
  }
  return takes;
}

void open(const std::string& path) {
  auto loaded = std::make_unique<File>();
  loaded->path = path;
  const py::module_ module = load_file(path);
  if (!py::hasattr(module, "append") || PyCallable_Check(py::object(module.attr("append")).ptr()) == 0)
    throw Refused{1, std::string("it has no function append; expected ") + kExpected};
  loaded->append = module.attr("append");
  loaded->supports = py::getattr(module, "supports", py::none());
  if (!loaded->supports.is_none() && PyCallable_Check(loaded->supports.ptr()) == 0)
    throw Refused{1, "supports is " + std::string(py::repr(loaded->supports)) + ", expected def supports(case)"};
  loaded->takes = arguments_of(loaded->append);
  loaded->memory = memory_of(module);
  const bool host = loaded->memory == MemoryKind::kHost;
  loaded->name = (host ? "cpu" : std::string(name(loaded->memory))) + "." + fs::path(path).stem().string();
  loaded->tensors = host ? numpy_tensors() : torch_tensors(loaded->memory);
  define_case();
  file = loaded.release();
}

}  // namespace
}  // namespace twincheck::python

namespace python = twincheck::python;

int32_t twincheck_open(const char* path) {
  const std::lock_guard lock(python::opening);
  if (python::file != nullptr) {
    if (python::file->path == path) return 0;
    return python::answer(1, "this process already has the Python candidate " + python::file->path);
  }
  if (std::string trouble = python::start(); !trouble.empty()) return python::answer(1, std::move(trouble));
  const pybind11::gil_scoped_acquire gil;
  try {
    python::open(path);
    return 0;
  } catch (python::Refused& refused) {
    return python::answer(1, std::move(refused.words));
  } catch (pybind11::error_already_set& e) {
    std::string words = python::text_of(e, path);
    if (e.matches(PyExc_ImportError)) words += "; this is Python " + python::version();
    return python::answer(1, std::move(words));
  } catch (const std::exception& e) {
    return python::answer(1, e.what());
  }
}

int32_t twincheck_abi(void) { return TWINCHECK_ABI; }
const char* twincheck_name(void) { return python::file != nullptr ? python::file->name.c_str() : nullptr; }
int32_t twincheck_memory_kind(void) {
  return static_cast<int32_t>(python::file != nullptr ? python::file->memory : twincheck::MemoryKind::kHost);
}
const char* twincheck_last_error(void) { return python::last_error.c_str(); }
// One interpreter has one lock.
int64_t twincheck_get(const char* key) { return std::strcmp(key, "takes_turns") == 0 ? 1 : -1; }
int32_t twincheck_append(const twincheck_append_args* args) {
  if (python::file == nullptr) return python::answer(TWINCHECK_RUNTIME_ERROR, "no Python file is open");
  return python::append(*args);
}
