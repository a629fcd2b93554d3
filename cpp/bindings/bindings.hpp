#pragma once
#include <pybind11/pybind11.h>

// One register_<domain> per file; module.cpp calls them all.
void register_simd(pybind11::module_& module);
void register_hash(pybind11::module_& module);
void register_vocab(pybind11::module_& module);
void register_rows(pybind11::module_& module);
void register_ivf(pybind11::module_& module);
void register_http(pybind11::module_& module);
void register_json(pybind11::module_& module);
void register_timer(pybind11::module_& module);
void register_sequence(pybind11::module_& module);
void register_filter(pybind11::module_& module);
void register_rank(pybind11::module_& module);
