#include <pybind11/numpy.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "bindings.hpp"
#include "common/error.hpp"
#include "rank/diversify.hpp"

namespace py = pybind11;

namespace {

void require(const py::array& array, const char* name, int dimensions) {
  if (!array.dtype().equal(py::dtype::of<float>()) || array.ndim() != dimensions ||
      (array.flags() & py::array::c_style) == 0)
    throw py::type_error(std::string(name) + " must be C-contiguous float32 of " +
                         std::to_string(dimensions) + " dimensions, got " +
                         std::to_string(array.ndim()) + "-D " +
                         std::string(py::str(array.dtype())));
  const auto* const values = static_cast<const float*>(array.data());
  if (!std::all_of(values, values + array.size(), [](float value) { return std::isfinite(value); }))
    throw friesian::InvalidInput(std::string(name) + " holds NaN or infinity");
}

py::array_t<std::uint32_t> diversify(const py::array& relevance, const py::array& vectors,
                                     std::int64_t k, float diversity) {
  require(relevance, "relevance", 1);
  require(vectors, "vectors", 2);
  if (vectors.shape(0) != relevance.shape(0))
    throw py::value_error("there are " + std::to_string(vectors.shape(0)) + " vectors, but " +
                          std::to_string(relevance.shape(0)) + " relevances");
  if (k < 0) throw py::value_error("k must be at least 0, got " + std::to_string(k));
  if (!(diversity >= 0 && diversity <= 1)) throw py::value_error("diversity must be in [0, 1]");
  py::array_t<std::uint32_t> picks(std::min<py::ssize_t>(k, relevance.shape(0)));
  const auto* const scores = static_cast<const float*>(relevance.data());
  const auto* const rows = static_cast<const float*>(vectors.data());
  const auto n = static_cast<std::size_t>(vectors.shape(0));
  const auto dim = static_cast<std::size_t>(vectors.shape(1));
  std::uint32_t* const out = picks.mutable_data();
  const auto wanted = static_cast<std::size_t>(picks.size());
  const py::gil_scoped_release nogil;
  friesian::diversify(scores, rows, n, dim, wanted, diversity, out);
  return picks;
}

}  // namespace

void register_rank(py::module_& module) {
  module.def("diversify", &diversify, py::arg("relevance"), py::arg("vectors"), py::arg("k"),
             py::arg("diversity"));
}
