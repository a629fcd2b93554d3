#include <pybind11/numpy.h>

#include <string>

#include "bindings.hpp"
#include "common/json_array.hpp"

namespace py = pybind11;

namespace {

template <typename Number>
bool holds(const py::array& values) {
  constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  return values.ndim() == 1 && (values.flags() & kAligned) != 0 &&
         py::isinstance<py::array_t<Number, py::array::c_style>>(values);
}

template <typename Number>
py::bytes text_of(const py::array& values) {
  return friesian::json_array(std::span(static_cast<const Number*>(values.data()),
                                        static_cast<std::size_t>(values.size())));
}

// The GIL stays: a few numbers take less time than letting go of it.
py::bytes json_array(const py::array& values) {
  if (holds<float>(values)) return text_of<float>(values);
  if (holds<std::int64_t>(values)) return text_of<std::int64_t>(values);
  throw py::type_error(
      "values must be C-contiguous, aligned float32 or int64 of one dimension, got " +
      std::to_string(values.ndim()) + "-D " + std::string(py::str(values.dtype())));
}

}  // namespace

void register_json(py::module_& module) {
  module.def("json_array", &json_array, py::arg("values"));
}
