#pragma once
#include <pybind11/numpy.h>

#include <functional>
#include <span>
#include <vector>

#include "rows/row_decode.hpp"

// A decoder with what Python needs of it: the columns' names and element types.
struct ColumnDecoder {
  friesian::RowDecoder decoder;
  std::vector<pybind11::str> names;
  std::vector<pybind11::dtype> types;
  pybind11::dict no_arrays;  // None under every name

  // Every column under its own name.
  ColumnDecoder(friesian::RowSchema schema, friesian::SimdLevel level);
  // These columns under these names.
  ColumnDecoder(const friesian::RowSchema& schema, std::vector<std::uint32_t> columns,
                std::vector<pybind11::str> output_names);

  // A dict with a place for every name: copying one takes less time than letting one grow.
  [[nodiscard]] pybind11::dict new_dict() const;

  // Adds a fresh array of n rows for each column to `arrays`; where they begin. All are parts of
  // one piece of memory, which lives as long as any of them, and each begins at a cache line.
  // `meanwhile` is called before each, so that something can be fetched while they are made.
  [[nodiscard]] std::vector<unsigned char*> add_arrays(
      std::size_t n, pybind11::dict& arrays, const std::function<void()>& meanwhile = [] {}) const;
};

// An array of n bool; its memory is not set.
[[nodiscard]] pybind11::array new_bools(std::size_t n, bool*& memory);
