#include "bindings.hpp"

void register_rows(pybind11::module_&) {}
