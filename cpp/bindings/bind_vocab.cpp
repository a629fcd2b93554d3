#include "bindings.hpp"

void register_vocab(pybind11::module_&) {}
