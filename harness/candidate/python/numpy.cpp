// numpy 1.24, Debian 12's, makes read-only arrays of what it gets through DLPack. So these are arrays over foreign memory,
// which numpy has always had: no copy either, and writable.
#include <pybind11/numpy.h>

#include <algorithm>
#include <limits>

#include "harness/candidate/python/tensors.h"

namespace twincheck::python {
namespace {

namespace py = pybind11;

class NumpyTensors final : public Tensors {
 public:
  NumpyTensors()
      : copyto_(py::module_::import("numpy").attr("copyto")),
        dtypes_{py::dtype("int32"), py::dtype("int64"), py::dtype("float32"), py::dtype("uint16"), py::dtype("float16")} {}

  py::object view(const Matrix& m) override {
    static char nothing = 0;  // numpy allocates where it gets a null pointer
    const bool empty = m.rows == 0 || m.cols == 0;
    const int64_t element = dtype_bytes(m.dtype);
    const int64_t stride = m.rows > 1 && !empty ? m.row_stride : m.cols;
    return py::array(dtype(m.dtype), {m.rows, m.cols}, {stride * element, element}, empty ? &nothing : m.data, py::none());
  }

  void enter(void*) override {}

  Result look_at(const py::object& returned, int32_t wanted) override {
    Result result;
    if (!py::isinstance<py::array>(returned)) {
      result.trouble = "a " + std::string(py::str(py::type::of(returned).attr("__name__"))) + ", expected a numpy.ndarray";
      return result;
    }
    const auto array = py::reinterpret_borrow<py::array>(returned);
    if (!array.dtype().is(dtype(wanted)) && !array.dtype().equal(dtype(wanted))) result.dtype = py::str(array.dtype());
    if (array.ndim() != 2) {
      result.trouble = "of shape " + std::string(py::str(array.attr("shape"))) + ", expected two dimensions";
      return result;
    }
    const py::ssize_t element = std::max<py::ssize_t>(1, array.itemsize());  // an element may have no bytes
    for (std::size_t i = 0; i < 2; ++i) {
      result.shape[i] = array.shape(static_cast<py::ssize_t>(i));
      result.strides[i] = array.strides(static_cast<py::ssize_t>(i)) / element;
    }
    result.data = array.data();
    return result;
  }

  void copy(const py::object& view, const py::object& returned) override { copyto_(view, returned); }

  bool is_of_runtime(const py::error_already_set&) const override { return false; }

  const char* dtype_name(int32_t dtype) const override {
    static constexpr std::array kNames{"none", "int32", "int64", "float32", "uint16 (the bits of bf16)", "float16"};
    return kNames[static_cast<std::size_t>(dtype)];
  }

 private:
  bool negative_strides() const override { return true; }
  const py::dtype& dtype(int32_t d) const { return dtypes_[static_cast<std::size_t>(d - 1)]; }

  py::object copyto_;
  std::array<py::dtype, 5> dtypes_;
};

}  // namespace

std::string Tensors::cannot_be(std::string_view name, const Matrix& m) const {
  const std::string who = std::string("no tensor is like this: ").append(name);
  if (m.rows < 0) return who + " has " + std::to_string(m.rows) + " rows";
  if (m.cols < 0) return who + " has " + std::to_string(m.cols) + " columns";
  const int64_t element = dtype_bytes(m.dtype);
  if (element == 0) return who + " has dtype " + std::to_string(m.dtype);
  constexpr __int128 kMost = std::numeric_limits<int64_t>::max();
  // Libraries multiply the dimensions also of an empty tensor.
  const __int128 rows = m.rows > 0 ? m.rows : 1, cols = m.cols > 0 ? m.cols : 1;
  if (cols * element > kMost || rows > kMost / (cols * element)) return who + " has more bytes than 64 bits count";
  if (m.rows == 0 || m.cols == 0) return {};
  if (m.data == nullptr) return who + " is not empty and has a null pointer";
  if (m.rows == 1) return {};
  if (m.row_stride < 0 && !negative_strides()) return who + " has row stride " + std::to_string(m.row_stride);
  const __int128 stride = static_cast<__int128>(m.row_stride) * element;
  const __int128 reach = (stride < 0 ? -stride : stride);
  if (reach > kMost || reach > (kMost - cols * element) / (rows - 1)) return who + " reaches further than 64 bits count";
  return {};
}

std::unique_ptr<Tensors> numpy_tensors() { return std::make_unique<NumpyTensors>(); }

}  // namespace twincheck::python
