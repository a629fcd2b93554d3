#pragma once
#include <pybind11/numpy.h>

#include <vector>

#include "rows/row_decode.hpp"

// Fresh arrays for n decoded rows.
struct DecodedRows {
  pybind11::list columns;
  pybind11::array_t<bool> found;
  std::vector<void*> pointers;

  DecodedRows(const friesian::RowSchema& schema, std::size_t n);

  [[nodiscard]] friesian::DecodeOutputs outputs();
  // (columns, found)
  [[nodiscard]] pybind11::tuple result() const;
};

// Raises what decoding found wrong, with the id of the row if it is known.
[[noreturn]] void raise_fault(const friesian::RowFault& fault, const pybind11::object& ids);
