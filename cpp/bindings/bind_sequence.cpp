#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "bindings.hpp"
#include "column.hpp"
#include "common/bytes_hash.hpp"
#include "common/error.hpp"
#include "sequence/history.hpp"
#include "sequence/lists.hpp"
#include "sequence/negatives.hpp"
#include "sequence/row_keys.hpp"
#include "sequence/sample.hpp"

namespace py = pybind11;
using namespace friesian;

namespace {

template <typename T>
using Array = py::array_t<T, py::array::c_style>;
using Longs = Array<std::int64_t>;
using Keys = Array<std::uint64_t>;

template <typename T>
std::span<const T> span_of(const Array<T>& array, const char* name) {
  if (array.ndim() != 1) throw InvalidInput(std::string(name) + " must be 1-D");
  return {array.data(), static_cast<std::size_t>(array.size())};
}

// Takes no std::string: it is called for every row, and making one would cost more than the kernel.
void require(bool holds, const char* message) {
  if (!holds) throw InvalidInput(message);
}

// Lists as starts and lengths in `values` values; returns the sum of the lengths.
std::int64_t require_lists(std::span<const std::int64_t> starts,
                           std::span<const std::int64_t> lengths, std::size_t values,
                           bool nulls = false) {
  require(starts.size() == lengths.size(), "starts and lengths must be equally many");
  const auto size = static_cast<std::int64_t>(values);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    if (nulls && lengths[i] < 0) continue;
    require(
        starts[i] >= 0 && lengths[i] >= 0 && lengths[i] <= size && starts[i] <= size - lengths[i],
        "a list lies outside of the values");
    total += lengths[i];
  }
  return total;
}

py::ssize_t product(std::int64_t a, std::int64_t b) {
  require(b == 0 || a <= std::numeric_limits<std::int32_t>::max() / b,
          "the result would be more than 2**31 - 1 values; give fewer rows at a time");
  return a * b;
}

Keys start_keys(std::uint64_t seed, std::size_t rows) {
  Keys keys(static_cast<py::ssize_t>(rows));
  std::fill_n(keys.mutable_data(), rows, mix64(seed));
  return keys;
}

Keys mix_column_into(const py::object& values, const Keys& keys) {
  const auto column = PyColumn::from_python(values, "values");
  require(column.length() == span_of(keys, "keys").size(),
          "values and keys must be of equal length");
  Keys mixed(keys.size(), keys.data());
  std::span<std::uint64_t> left{mixed.mutable_data(), column.length()};
  const py::gil_scoped_release nogil;
  for (const auto& chunk : column.chunks()) {
    mix_column(chunk, left.first(chunk.length));
    left = left.subspan(chunk.length);
  }
  return mixed;
}

Keys mix_lists_into(const Keys& elements, const Longs& starts, const Longs& lengths,
                    const Keys& keys) {
  const auto begin = span_of(starts, "starts");
  const auto length = span_of(lengths, "lengths");
  const auto element_keys = span_of(elements, "elements");
  require_lists(begin, length, element_keys.size(), true);
  require(length.size() == span_of(keys, "keys").size(), "lists and keys must be equally many");
  Keys mixed(keys.size(), keys.data());
  const std::span<std::uint64_t> out{mixed.mutable_data(), length.size()};
  const py::gil_scoped_release nogil;
  mix_lists(element_keys, begin, length, out);
  return mixed;
}

void require_ends(std::span<const std::int64_t> ends, std::size_t rows) {
  require(ends.size() == rows + 1 && ends[0] == 0,
          "ends must start at 0 and be one more than keys");
  for (std::size_t i = 0; i < rows; ++i) require(ends[i] <= ends[i + 1], "ends must not fall");
}

template <typename Item>
std::pair<Array<Item>, std::optional<std::size_t>> draw_negatives_of(
    const Keys& keys, const Longs& ends, const Array<Item>& values, const Longs& starts,
    const Longs& lengths, const Longs& sets_of, Item last_item) {
  const ItemSets<Item> sets{span_of(values, "values"), span_of(starts, "starts"),
                            span_of(lengths, "lengths")};
  require_lists(sets.starts, sets.lengths, sets.values.size());
  const auto row_keys = span_of(keys, "keys");
  const auto row_ends = span_of(ends, "ends");
  const auto row_sets = span_of(sets_of, "sets_of");
  require_ends(row_ends, row_keys.size());
  require(row_sets.size() == row_keys.size(), "sets_of and keys must be of equal length");
  for (const std::int64_t set : row_sets)
    require(set >= 0 && set < static_cast<std::int64_t>(sets.starts.size()),
            "sets_of holds a number of no set");
  require(last_item >= 1, "last_item must be at least 1");
  Array<Item> out(static_cast<py::ssize_t>(row_ends.back()));
  const std::span<Item> drawn{out.mutable_data(), static_cast<std::size_t>(out.size())};
  const py::gil_scoped_release nogil;
  const auto failed = draw_negatives<Item>(row_keys, row_ends, sets, row_sets, last_item, drawn);
  return {out, failed};
}

using Blocks = std::tuple<Longs, Longs, Longs>;

Blocks history_blocks_of(const Longs& bounds, std::int64_t min_len, std::int64_t max_len,
                         std::int64_t num_seqs, std::int64_t block_rows) {
  require(min_len >= 0 && max_len >= 1 && num_seqs >= 1 && block_rows >= 1,
          "max_len, num_seqs and block_rows must be at least 1, min_len at least 0");
  const auto blocks =
      history_blocks(span_of(bounds, "bounds"), min_len, max_len, num_seqs, block_rows);
  const auto count = static_cast<py::ssize_t>(blocks.size());
  Longs begin(count), first(count), end(count);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    begin.mutable_data()[i] = blocks[i].begin;
    first.mutable_data()[i] = blocks[i].first;
    end.mutable_data()[i] = blocks[i].end;
  }
  return {begin, first, end};
}

// The bytes of an array of plain values of 1, 2, 4 or 8 bytes.
std::span<const std::byte> bytes_of(const py::array& values) {
  require(values.ndim() == 1 && (values.flags() & py::array::c_style) != 0 &&
              values.dtype().kind() != 'O',
          "values must be 1-D, C-contiguous and plain numbers");
  return {static_cast<const std::byte*>(values.data()), static_cast<std::size_t>(values.nbytes())};
}

py::array window_values_of(const py::array& values, const Longs& begins, const Longs& lengths) {
  const auto begin = span_of(begins, "begins");
  const auto length = span_of(lengths, "lengths");
  const auto from = bytes_of(values);
  const std::int64_t total = require_lists(begin, length, static_cast<std::size_t>(values.size()));
  py::array out(values.dtype(), py::array::ShapeContainer{product(total, 1)});
  auto* to = static_cast<std::byte*>(out.mutable_data());
  const auto width = static_cast<std::size_t>(values.itemsize());
  const py::gil_scoped_release nogil;
  window_values(from.data(), width, begin, length, to);
  return out;
}

py::array pad_lists_of(const py::array& values, const Longs& starts, const Longs& lengths,
                       std::int64_t seq_len, const py::array& token) {
  const auto begin = span_of(starts, "starts");
  const auto length = span_of(lengths, "lengths");
  const auto from = bytes_of(values);
  require_lists(begin, length, static_cast<std::size_t>(values.size()));
  require(seq_len >= 1, "seq_len must be at least 1");
  require(token.size() == 1 && token.dtype().equal(values.dtype()),
          "token must be one value of the values' dtype");
  const auto rows = static_cast<std::int64_t>(length.size());
  py::array out(values.dtype(), py::array::ShapeContainer{product(rows, seq_len)});
  auto* to = static_cast<std::byte*>(out.mutable_data());
  const auto* filler = static_cast<const std::byte*>(token.data());
  const auto width = static_cast<std::size_t>(values.itemsize());
  const py::gil_scoped_release nogil;
  pad_lists(from.data(), width, begin, length, static_cast<std::size_t>(seq_len), filler, to);
  return out;
}

Array<std::int32_t> mask_lists_of(const Longs& lengths, std::int64_t seq_len) {
  const auto length = span_of(lengths, "lengths");
  require(seq_len >= 1, "seq_len must be at least 1");
  for (const std::int64_t one : length) require(one >= 0, "lengths must not be negative");
  Array<std::int32_t> out(product(static_cast<std::int64_t>(length.size()), seq_len));
  const std::span<std::int32_t> ones{out.mutable_data(), static_cast<std::size_t>(out.size())};
  const py::gil_scoped_release nogil;
  mask_lists(length, static_cast<std::size_t>(seq_len), ones);
  return out;
}

Longs sample_positions_of(const Keys& keys, const Longs& lengths, std::int64_t times,
                          std::int64_t items) {
  const auto row_keys = span_of(keys, "keys");
  const auto length = span_of(lengths, "lengths");
  require(row_keys.size() == length.size(), "keys and lengths must be of equal length");
  require(times >= 1 && items >= 1, "times and items must be at least 1");
  for (const std::int64_t one : length) require(one >= items, "a list is shorter than the sample");
  const auto samples = product(static_cast<std::int64_t>(length.size()), times);
  Longs out(product(samples, items));
  const std::span<std::int64_t> to{out.mutable_data(), static_cast<std::size_t>(out.size())};
  const py::gil_scoped_release nogil;
  sample_positions(row_keys, length, times, items, to);
  return out;
}

}  // namespace

void register_sequence(py::module_& module) {
  module.def("start_keys", start_keys, py::arg("seed"), py::arg("rows"));
  module.def("mix_column", mix_column_into, py::arg("values"), py::arg("keys").noconvert());
  module.def("mix_lists", mix_lists_into, py::arg("elements").noconvert(),
             py::arg("starts").noconvert(), py::arg("lengths").noconvert(),
             py::arg("keys").noconvert());
  const auto draw = [&module]<typename Item>(Item) {
    module.def("draw_negatives", draw_negatives_of<Item>, py::arg("keys").noconvert(),
               py::arg("ends").noconvert(), py::arg("values").noconvert(),
               py::arg("starts").noconvert(), py::arg("lengths").noconvert(),
               py::arg("sets_of").noconvert(), py::arg("last_item"));
  };
  draw(std::int32_t{});
  draw(std::int64_t{});
  module.def("history_blocks", history_blocks_of, py::arg("bounds").noconvert(), py::arg("min_len"),
             py::arg("max_len"), py::arg("num_seqs"), py::arg("block_rows"));
  module.def("window_values", window_values_of, py::arg("values"), py::arg("begins").noconvert(),
             py::arg("lengths").noconvert());
  module.def("pad_lists", pad_lists_of, py::arg("values"), py::arg("starts").noconvert(),
             py::arg("lengths").noconvert(), py::arg("seq_len"), py::arg("token"));
  module.def("mask_lists", mask_lists_of, py::arg("lengths").noconvert(), py::arg("seq_len"));
  module.def("sample_positions", sample_positions_of, py::arg("keys").noconvert(),
             py::arg("lengths").noconvert(), py::arg("times"), py::arg("items"));
}
