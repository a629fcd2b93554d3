#include "bindings.hpp"

void register_hash(pybind11::module_&) {}
