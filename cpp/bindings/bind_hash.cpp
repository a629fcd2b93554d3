#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "column.hpp"
#include "cross/cross_bucket.hpp"
#include "hash/md5_bucket.hpp"
#include "hash/xxh3_bucket.hpp"
#include "level.hpp"

namespace py = pybind11;

namespace {

using Buckets = py::array_t<std::int32_t>;

std::uint32_t require_bins(std::int64_t bins) {
  if (bins < 1 || bins > friesian::kMaxBins)
    throw py::value_error("bins must be in [1, 2**31 - 1], got " + std::to_string(bins));
  return static_cast<std::uint32_t>(bins);
}

// `hash` gets a chunk and where its buckets go.
template <typename Hash>
Buckets chunk_buckets(const py::object& values, const Hash& hash) {
  const auto column = PyColumn::from_python(values, "values");
  Buckets out(static_cast<py::ssize_t>(column.length()));
  std::span<std::int32_t> left{out.mutable_data(), column.length()};
  const py::gil_scoped_release nogil;  // no Python object is touched below
  for (const auto& chunk : column.chunks()) {
    hash(chunk, left.first(chunk.length));
    left = left.subspan(chunk.length);
  }
  return out;
}

Buckets md5_bucket(const py::object& values, std::int64_t bins,
                   const std::optional<std::string>& level) {
  return chunk_buckets(values, [bins = require_bins(bins), level = resolve_simd_level(level)](
                                   const friesian::Column& chunk, std::span<std::int32_t> out) {
    friesian::md5_bucket(chunk, bins, out, level);
  });
}

Buckets xxh3_bucket(const py::object& values, std::int64_t bins) {
  return chunk_buckets(values, [bins = require_bins(bins)](const friesian::Column& chunk,
                                                           std::span<std::int32_t> out) {
    friesian::xxh3_bucket(chunk, bins, out);
  });
}

friesian::TextHash require_hash(const std::string& method) {
  if (method == "md5") return friesian::TextHash::md5;
  if (method == "xxh3") return friesian::TextHash::xxh3;
  throw py::value_error("method must be 'md5' or 'xxh3', got '" + method + "'");
}

// Walks columns whose chunks may end at different rows, in stretches within one chunk of each.
class ChunkWalk {
 public:
  explicit ChunkWalk(const std::vector<PyColumn>& columns)
      : columns_(columns), at_(columns.size()) {}

  // The next stretch of every column; all empty when the columns end.
  std::vector<friesian::Column> next() {
    std::size_t rows = std::numeric_limits<std::size_t>::max();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const auto chunks = columns_[i].chunks();
      Place& place = at_[i];
      while (place.chunk + 1 < chunks.size() && place.row == chunks[place.chunk].length)
        place = {place.chunk + 1, 0};
      rows = std::min(rows, chunks[place.chunk].length - place.row);
    }
    std::vector<friesian::Column> stretch;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      stretch.push_back(columns_[i].chunks()[at_[i].chunk].slice(at_[i].row, rows));
      at_[i].row += rows;
    }
    return stretch;
  }

 private:
  struct Place {
    std::size_t chunk = 0;
    std::size_t row = 0;
  };

  const std::vector<PyColumn>& columns_;
  std::vector<Place> at_;
};

std::vector<PyColumn> read_columns(const py::sequence& objects) {
  std::vector<PyColumn> columns;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const std::string name = "columns[" + std::to_string(i) + "]";
    columns.push_back(PyColumn::from_python(objects[i], name));
    if (columns[i].length() != columns[0].length())
      throw py::value_error(name + " has " + std::to_string(columns[i].length()) +
                            " rows, columns[0] has " + std::to_string(columns[0].length()) +
                            "; they must be of equal length");
  }
  if (columns.size() < 2)
    throw py::value_error("columns must hold at least two, got " + std::to_string(columns.size()));
  return columns;
}

Buckets cross_bucket(const py::sequence& columns, std::int64_t bins, const std::string& separator,
                     const std::string& method, const std::optional<std::string>& level) {
  const auto hash = require_hash(method);
  const std::uint32_t n_bins = require_bins(bins);
  const auto run_level = resolve_simd_level(level);
  const std::vector<PyColumn> read = read_columns(columns);
  const std::size_t rows = read[0].length();
  Buckets out(static_cast<py::ssize_t>(rows));
  std::span<std::int32_t> left{out.mutable_data(), rows};
  const py::gil_scoped_release nogil;  // no Python object is touched below
  for (ChunkWalk walk(read); !left.empty();) {
    const auto stretch = walk.next();
    friesian::cross_bucket(stretch, separator, hash, n_bins, left.first(stretch[0].length),
                           run_level);
    left = left.subspan(stretch[0].length);
  }
  return out;
}

}  // namespace

void register_hash(py::module_& module) {
  module.def("md5_bucket", md5_bucket, py::arg("values"), py::arg("bins"), py::kw_only(),
             py::arg("level") = py::none());
  module.def("cross_bucket", cross_bucket, py::arg("columns"), py::arg("bins"), py::kw_only(),
             py::arg("separator") = "", py::arg("method") = "md5", py::arg("level") = py::none());
  module.def("xxh3_bucket", xxh3_bucket, py::arg("values"), py::arg("bins"));
}
