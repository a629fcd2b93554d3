#pragma once
#include <pybind11/pybind11.h>

#include "vocab/vocabulary.hpp"

// Registers _core.StringValues: strings that the core made, exported through __arrow_c_array__.
void register_string_values(pybind11::module_& module);

// Takes the strings over; the result is a _core.StringValues.
pybind11::object string_values_to_python(friesian::StringValues values);
