#pragma once
#include <pybind11/pybind11.h>

// Makes the core's errors those of friesian_fast.errors, and std::system_error an OSError.
void register_errors(pybind11::module_& module);

// Raises friesian_fast.errors.<name>(message).
[[noreturn]] void raise_error(const char* name, const std::string& message);
