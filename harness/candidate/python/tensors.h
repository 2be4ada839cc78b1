// The tensors that a Python function sees: views of the case's memory, never copies.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "harness/case/case.h"

namespace twincheck::python {

// A returned array, as far as it is one.
struct Result {
  std::string trouble;  // why it is no tensor for this place: "a list, expected numpy.ndarray"; empty where it is
  std::array<int64_t, 2> shape{}, strides{};  // strides in elements
  std::string dtype;                          // as Python has it, where it is not the expected one; else empty
  const void* data = nullptr;
};

// One library of tensors. Every function wants Python's global lock and throws pybind11::error_already_set.
class Tensors {
 public:
  virtual ~Tensors() = default;

  // Why no tensor can be this matrix, in words; empty where one can: "topk_ids has -1 rows".
  std::string cannot_be(std::string_view name, const Matrix& m) const;

  // A writable view of a matrix for which cannot_be() is empty.
  virtual pybind11::object view(const Matrix& m) = 0;
  // What of the calling thread's state the call needs.
  virtual void enter(void* stream) = 0;
  // Looks at a returned object that is to have this dtype.
  virtual Result look_at(const pybind11::object& returned, int32_t dtype) = 0;
  // Copies into a view of the same shape and dtype.
  virtual void copy(const pybind11::object& view, const pybind11::object& returned) = 0;
  // Whether the device's runtime has refused something, as its libraries tell it in Python: nobody's refusal of a case.
  virtual bool is_of_runtime(const pybind11::error_already_set& error) const = 0;
  // "int32", "uint16 (the bits of bf16)"
  virtual const char* dtype_name(int32_t dtype) const = 0;

 protected:
  virtual bool negative_strides() const = 0;
};

std::unique_ptr<Tensors> numpy_tensors();
// For CUDA and ROCm.
std::unique_ptr<Tensors> torch_tensors(MemoryKind kind);

}  // namespace twincheck::python
