#include <unordered_map>

#include "harness/candidate/python/tensors.h"

namespace twincheck::python {
namespace {

namespace py = pybind11;

// DLPack's structs, version 0 of its ABI (dlpack.h of dmlc/dlpack), as torch.utils.dlpack.from_dlpack takes them.
struct DlDevice {
  int32_t type, id;
};
struct DlDtype {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  int32_t dimensions;
  DlDtype dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct DlManaged {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManaged*);
};
constexpr int32_t kDlCuda = 2, kDlRocm = 10;
constexpr uint8_t kDlInt = 0, kDlFloat = 2, kDlBfloat = 4;

struct View {
  DlManaged managed;
  std::array<int64_t, 2> shape, strides;
};

void delete_view(DlManaged* managed) { delete static_cast<View*>(managed->context); }

// A capsule that nobody has taken still has its first name.
void delete_capsule(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, "dltensor") != 0)
    delete_view(static_cast<DlManaged*>(PyCapsule_GetPointer(capsule, "dltensor")));
}

DlDtype dl_dtype(int32_t dtype) {
  const uint8_t code = dtype == TWINCHECK_BF16                            ? kDlBfloat
                       : dtype == TWINCHECK_F32 || dtype == TWINCHECK_F16 ? kDlFloat
                                                                          : kDlInt;
  return {code, static_cast<uint8_t>(8 * dtype_bytes(dtype)), 1};
}

class TorchTensors final : public Tensors {
 public:
  explicit TorchTensors(MemoryKind kind) : dl_device_(kind == MemoryKind::kHip ? kDlRocm : kDlCuda) {
    const py::module_ torch = py::module_::import("torch");
    from_dlpack_ = py::module_::import("torch.utils.dlpack").attr("from_dlpack");
    tensor_ = torch.attr("Tensor");
    for (const char* name : {"int32", "int64", "float32", "bfloat16", "float16"}) dtypes_.append(torch.attr(name));
    cuda_ = torch.attr("cuda");
    set_stream_ = cuda_.attr("set_stream");
  }

  py::object view(const Matrix& m) override {
    const bool empty = m.rows == 0 || m.cols == 0;
    auto view = std::make_unique<View>();
    view->shape = {m.rows, m.cols};
    view->strides = {m.rows > 1 && !empty ? m.row_stride : m.cols, 1};
    view->managed = {.tensor = {.data = empty ? nullptr : m.data,
                                .device = {dl_device_, device_},
                                .dimensions = 2,
                                .dtype = dl_dtype(m.dtype),
                                .shape = view->shape.data(),
                                .strides = view->strides.data(),
                                .byte_offset = 0},
                     .context = view.get(),
                     .deleter = delete_view};
    const auto capsule = py::reinterpret_steal<py::object>(PyCapsule_New(&view->managed, "dltensor", delete_capsule));
    if (!capsule) throw py::error_already_set();
    (void)view.release();
    return from_dlpack_(capsule);
  }

  void enter(void* stream) override {
    py::object& known = streams_[stream];
    if (!known) {
      known = cuda_.attr("ExternalStream")(reinterpret_cast<uintptr_t>(stream));
      device_object_ = known.attr("device");
      device_ = device_object_.attr("index").cast<int32_t>();
    }
    set_stream_(known);
  }

  Result look_at(const py::object& returned, int32_t wanted) override {
    Result result;
    if (!py::isinstance(returned, tensor_)) {
      result.trouble = "a " + std::string(py::str(py::type::of(returned).attr("__name__"))) + ", expected a torch.Tensor";
      return result;
    }
    if (const py::object device = returned.attr("device"); !device.equal(device_object_)) {
      result.trouble = "on device " + std::string(py::str(device)) + ", expected " + std::string(py::str(device_object_));
      return result;
    }
    if (const py::object dtype = returned.attr("dtype"); !dtype.is(dtypes_[static_cast<std::size_t>(wanted - 1)]))
      result.dtype = py::str(dtype);
    const py::tuple shape = returned.attr("shape"), strides = returned.attr("stride")();
    if (shape.size() != 2) {
      result.trouble = "of shape " + std::string(py::str(py::tuple(py::list(shape)))) + ", expected two dimensions";
      return result;
    }
    for (std::size_t i = 0; i < 2; ++i) {
      result.shape[i] = shape[i].cast<int64_t>();
      result.strides[i] = strides[i].cast<int64_t>();
    }
    result.data = reinterpret_cast<const void*>(returned.attr("data_ptr")().cast<uintptr_t>());
    return result;
  }

  void copy(const py::object& view, const py::object& returned) override { (void)view.attr("copy_")(returned); }

  // "CUDA error: ..." and "CUDA out of memory. ..." are torch's, "Triton Error [CUDA]: ..." Triton's.
  bool is_of_runtime(const py::error_already_set& error) const override {
    if (!error.matches(PyExc_RuntimeError)) return false;
    std::string words;
    try {
      words = py::str(error.value());
    } catch (py::error_already_set&) {
      return false;
    }
    for (const char* begin : {"CUDA ", "HIP ", "Triton Error ["})
      if (words.rfind(begin, 0) == 0) return true;
    return false;
  }

  const char* dtype_name(int32_t dtype) const override {
    static constexpr std::array kNames{"none",          "torch.int32",    "torch.int64",
                                       "torch.float32", "torch.bfloat16", "torch.float16"};
    return kNames[static_cast<std::size_t>(dtype)];
  }

 private:
  bool negative_strides() const override { return false; }

  int32_t dl_device_, device_ = 0;
  std::unordered_map<void*, py::object> streams_;  // torch's objects of them
  py::object from_dlpack_, tensor_, cuda_, set_stream_, device_object_;
  py::list dtypes_;
};

}  // namespace

std::unique_ptr<Tensors> torch_tensors(MemoryKind kind) { return std::make_unique<TorchTensors>(kind); }

}  // namespace twincheck::python
