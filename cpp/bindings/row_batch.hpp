#pragma once
#include <pybind11/numpy.h>

#include <vector>

#include "decoded_rows.hpp"
#include "rows/row_decode.hpp"

// Packed rows that were looked up or received, with what keeps their bytes.
struct RowBatch {
  std::vector<friesian::RowView> views;
  pybind11::object owner;
  pybind11::object ids;   // whose rows these are, for the text of an error, or None
  bool of_store = false;  // a mapped one: reading may wait for the disk, the file was verified

  // From a sequence of bytes or None, which is copied: nobody can take a row away.
  static RowBatch from_sequence(const pybind11::sequence& rows, pybind11::object ids);

  [[nodiscard]] pybind11::array found() const;
  [[nodiscard]] std::size_t count() const;

  // Runs the decoder over `rows`, which are some of these; `position_of[i]` is where rows[i] stands
  // in the batch, nothing when they are all of it. Raises what it finds wrong.
  void decode(const friesian::RowDecoder& decoder, std::span<const friesian::RowView> rows,
              std::span<const std::size_t> position_of,
              std::span<unsigned char* const> outputs) const;

  // (columns by name, found), all rows.
  [[nodiscard]] pybind11::tuple columns(const ColumnDecoder& columns) const;
};

// (columns by name, found) of a sequence of bytes or None.
[[nodiscard]] pybind11::tuple decode_sequence(const ColumnDecoder& columns,
                                              const pybind11::sequence& rows,
                                              const pybind11::object& ids);
