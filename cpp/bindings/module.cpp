#include "bindings.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "Native kernels of friesian_fast; use them through the Python wrappers.";
  register_simd(module);
  register_hash(module);
  register_vocab(module);
  register_rows(module);
  register_ivf(module);
  register_http(module);
  register_json(module);
  register_timer(module);
  register_sequence(module);
  register_filter(module);
  register_rank(module);
}
