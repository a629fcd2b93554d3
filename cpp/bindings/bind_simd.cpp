#include <pybind11/stl.h>

#include <string>

#include "bindings.hpp"
#include "simd/simd_level.hpp"

namespace py = pybind11;

namespace {

std::string level_name(friesian::SimdLevel level) {
  return std::string(friesian::kSimdLevelNames[static_cast<std::size_t>(level)]);
}

std::vector<std::string> runnable_simd_levels() {
  std::vector<std::string> names;
  const auto best = static_cast<std::size_t>(friesian::detect_simd_level());
  for (std::size_t i = 0; i <= best; ++i)
    names.push_back(level_name(static_cast<friesian::SimdLevel>(i)));
  return names;
}

}  // namespace

void register_simd(py::module_& module) {
  module.def("runnable_simd_levels", runnable_simd_levels,
             "Names of the levels this CPU can run, weakest first.");
  module.def(
      "active_simd_level", [] { return level_name(friesian::active_simd_level()); },
      "Name of the level that calls use; FRIESIAN_SIMD_LEVEL forces it.");
}
