#include "bindings.hpp"

void register_ivf(pybind11::module_&) {}
