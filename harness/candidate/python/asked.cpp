#include "harness/candidate/python/asked.h"

#include <memory>
#include <string>
#include <vector>

#include "harness/candidate/adapter.h"

namespace twincheck::python {
namespace {

namespace py = pybind11;

bool used(const AppendArgs& a, Operand o) {
  if (o == Operand::kShared) return a.source == TWINCHECK_WEIGHTS || a.source == TWINCHECK_LOGITS;
  if (o == Operand::kHidden || o == Operand::kGate) return a.source == TWINCHECK_GATE;
  return true;
}

struct AskedMatrix {
  Matrix matrix;
};
struct Asked {
  AppendArgs args;
};

py::str dtype_word(const Matrix& m) { return {std::string(word(kDtypeNames, m.dtype))}; }

py::object asked_matrix(const AppendArgs& a, std::size_t operand) {
  return is_none(a, operand) ? py::none() : py::cast(AskedMatrix{a.*kMatrices[operand]});
}

const char* in_place(const AppendArgs& a) {
  const bool ids = is_left_part(a.topk_ids, a.out_ids), weights = is_left_part(a.topk_weights, a.out_weights);
  return ids ? weights ? "both" : "ids" : weights ? "weights" : "none";
}

// "Case(source='weights', tokens=3)", of a type's properties in their order.
py::str show(const char* type, const py::object& object, const std::vector<const char*>& names) {
  py::list parts;
  for (const char* name : names) parts.append(py::str("{}={!r}").format(name, object.attr(name)));
  return py::str("{}({})").format(type, py::str(", ").attr("join")(parts));
}

// A class of the adapter's own, of properties alone.
template <class T>
class Properties {
 public:
  explicit Properties(const char* name) : class_(py::handle(), name, py::module_local()) {
    class_.def("__repr__", [name, names = names_](const py::object& self) { return show(name, self, *names); });
  }
  template <class Get>
  Properties& with(const char* name, Get get) {
    class_.def_property_readonly(name, [get](const T& t) { return get(t); });
    names_->push_back(name);
    return *this;
  }

 private:
  py::class_<T> class_;
  std::shared_ptr<std::vector<const char*>> names_ = std::make_shared<std::vector<const char*>>();
};

}  // namespace

bool is_none(const AppendArgs& a, std::size_t operand) {
  const Matrix& m = a.*kMatrices[operand];
  return !used(a, static_cast<Operand>(operand)) && m.rows == 0 && m.cols == 0;
}

void define_case() {
  using M = AskedMatrix;
  Properties<M>("Matrix")
      .with("rows", [](const M& m) { return m.matrix.rows; })
      .with("cols", [](const M& m) { return m.matrix.cols; })
      .with("row_stride",
            [](const M& m) { return m.matrix.rows > 1 && !is_empty(m.matrix) ? m.matrix.row_stride : m.matrix.cols; })
      .with("dtype", [](const M& m) { return dtype_word(m.matrix); })
      .with("address",
            [](const M& m) { return is_empty(m.matrix) ? uintptr_t{0} : reinterpret_cast<uintptr_t>(m.matrix.data); });
  using C = Asked;
  Properties<C> asked("Case");
  asked.with("source", [](const C& c) { return std::string(word(kSourceNames, c.args.source)); })
      .with("tokens", [](const C& c) { return c.args.topk_ids.rows; })
      .with("top_k", [](const C& c) { return c.args.topk_ids.cols; })
      .with("num_shared", [](const C& c) { return c.args.num_shared; })
      .with("hidden_size", [](const C& c) { return c.args.hidden.cols; })
      .with("ids_dtype", [](const C& c) { return dtype_word(c.args.topk_ids); })
      .with("weights_dtype", [](const C& c) { return dtype_word(c.args.topk_weights); })
      .with("shared_dtype",
            [](const C& c) { return dtype_word(c.args.source == TWINCHECK_GATE ? c.args.hidden : c.args.shared); })
      .with("broadcast", [](const C& c) { return c.args.shared.cols == 1 && c.args.num_shared != 1; })
      .with("in_place", [](const C& c) { return in_place(c.args); })
      .with("scale", [](const C& c) { return static_cast<double>(c.args.scale); })
      .with("base_id", [](const C& c) { return c.args.base_id; })
      .with("remap", [](const C& c) { return c.args.remap_local_routed; });
  for (std::size_t i = 0; i < kOperands; ++i)
    asked.with(kOperandNames[i].data(), [i](const C& c) { return asked_matrix(c.args, i); });
}

pybind11::object asked_about(const AppendArgs& a) { return py::cast(Asked{a}); }

}  // namespace twincheck::python
