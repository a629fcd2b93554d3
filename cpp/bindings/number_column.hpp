#pragma once
#include <pybind11/numpy.h>

#include "rows/row_encode.hpp"

// One column of rows, borrowed from Python; `owner` keeps its buffers alive.
struct NumberColumn {
  pybind11::object owner;
  friesian::ColumnInput input;
  std::int64_t rows = 0;

  // A C-contiguous NumPy array of the column's own type, (n,) or (n, elements), or an Arrow array
  // by __arrow_c_array__: numbers for a scalar, lists or fixed-size lists for the other kinds,
  // sliced or not, with nulls or not. Nothing is cast. Throws TypeError or InvalidInput, naming
  // the column.
  static NumberColumn from_python(const pybind11::object& value,
                                  const friesian::ColumnSpec& column);
};
