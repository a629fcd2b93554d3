#include "row_batch.hpp"

#include <algorithm>
#include <optional>

#include "common/bytes.hpp"
#include "errors.hpp"

namespace py = pybind11;
using namespace friesian;

namespace {

// So many rows in memory are decoded in less time than other threads take to notice a free GIL.
constexpr std::size_t kFewRows = 1024;

[[noreturn]] void raise_fault(const RowFault& fault, std::size_t position, const py::object& ids) {
  std::string text = "row " + std::to_string(position);
  if (!ids.is_none() && position < py::len(ids))
    text += " (id " + std::string(py::str(ids[py::int_(position)])) + ")";
  raise_error(fault.other_schema ? "SchemaMismatchError" : "InvalidInputError",
              text + ": " + fault.what());
}

// A bytes object's row, or none of None and empty bytes.
RowView view_of(PyObject* row, std::size_t position) {
  if (row == Py_None) return {};
  if (!PyBytes_CheckExact(row) && !PyBytes_Check(row))
    throw py::type_error("row " + std::to_string(position) + " must be bytes or None, got " +
                         Py_TYPE(row)->tp_name);
  const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(row));
  if (size == 0) return {};
  return {reinterpret_cast<const unsigned char*>(PyBytes_AS_STRING(row)), size};
}

// The objects of a list stand all over memory, each with a header of its own in front of the bytes.
// Where they stand is fetched first.
class ListedRows {
 public:
  ListedRows(const py::list& rows, std::uint64_t row_bytes)
      : rows_(rows),
        n_(rows.size()),
        ahead_bytes_(std::min<std::uint64_t>(sizeof(PyBytesObject) + row_bytes, kMaxPrefetch)) {
    prefetch(PySequence_Fast_ITEMS(rows_.ptr()), n_ * sizeof(PyObject*));
  }

  // Fetches the first rows, as many as stay in the second-level cache while the arrays are made.
  // All at once: a fetch that has to walk the page table holds up everything but other fetches.
  void fetch_ahead() { fetch(kMostAhead); }

  [[nodiscard]] PyObject* at(std::size_t i) const {
    return PyList_GET_ITEM(rows_.ptr(), static_cast<Py_ssize_t>(i));
  }

  // The rows from `first` on; those behind them are fetched meanwhile.
  void take(std::size_t first, std::span<RowView> rows) {
    if (fetched_ < first + kRowsAhead + rows.size())
      fetch(first + kRowsAhead + rows.size() - fetched_);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = view_of(at(first + i), first + i);
  }

 private:
  static constexpr std::size_t kMaxPrefetch = 512, kMostAhead = 512;

  void fetch(std::size_t n) {
    for (const std::size_t end = std::min(fetched_ + n, n_); fetched_ < end; ++fetched_)
      prefetch(at(fetched_), ahead_bytes_);
  }

  const py::list& rows_;
  std::size_t n_;
  std::size_t ahead_bytes_;
  std::size_t fetched_ = 0;
};

py::list as_list(const py::sequence& rows) {
  return PyList_CheckExact(rows.ptr()) ? py::reinterpret_borrow<py::list>(rows) : py::list(rows);
}

}  // namespace

RowBatch RowBatch::from_sequence(const py::sequence& rows, py::object ids) {
  const py::tuple kept(rows);  // a tuple of our own: nobody can take a row away while it is read
  RowBatch batch{std::vector<RowView>(kept.size()), kept, std::move(ids)};
  for (std::size_t i = 0; i < batch.views.size(); ++i)
    batch.views[i] = view_of(PyTuple_GET_ITEM(kept.ptr(), static_cast<Py_ssize_t>(i)), i);
  return batch;
}

py::tuple decode_sequence(const ColumnDecoder& columns, const py::sequence& rows,
                          const py::object& ids) {
  const py::list given = as_list(rows);
  if (given.size() > kFewRows) return RowBatch::from_sequence(given, ids).columns(columns);
  // Few rows are decoded with the GIL, so that the list stays as it is.
  ListedRows listed(given, columns.decoder.schema().longest());
  py::dict arrays = columns.new_dict();
  listed.fetch_ahead();
  const auto outputs = columns.add_arrays(given.size(), arrays);
  bool* found = nullptr;
  py::array found_array = new_bools(given.size(), found);
  try {
    columns.decoder.decode(
        given.size(),
        [&listed, found](std::size_t first, std::span<RowView> part) {
          listed.take(first, part);
          for (std::size_t i = 0; i < part.size(); ++i) found[first + i] = part[i].data != nullptr;
        },
        outputs, RowOrigin::outside);
  } catch (const RowFault& fault) {
    raise_fault(fault, fault.position, ids);
  }
  return py::make_tuple(std::move(arrays), std::move(found_array));
}

py::array RowBatch::found() const {
  bool* memory = nullptr;
  py::array array = new_bools(views.size(), memory);
  for (std::size_t i = 0; i < views.size(); ++i) memory[i] = views[i].data != nullptr;
  return array;
}

std::size_t RowBatch::count() const {
  return static_cast<std::size_t>(std::count_if(
      views.begin(), views.end(), [](const RowView& row) { return row.data != nullptr; }));
}

void RowBatch::decode(const RowDecoder& decoder, std::span<const RowView> rows,
                      std::span<const std::size_t> position_of,
                      std::span<unsigned char* const> outputs) const {
  try {
    std::optional<py::gil_scoped_release> nogil;
    if (of_store || rows.size() > kFewRows) nogil.emplace();
    decoder.decode(rows, outputs, of_store ? RowOrigin::store : RowOrigin::outside);
  } catch (const RowFault& fault) {
    raise_fault(fault, position_of.empty() ? fault.position : position_of[fault.position], ids);
  }
}

py::tuple RowBatch::columns(const ColumnDecoder& columns) const {
  py::dict arrays = columns.new_dict();
  const auto outputs = columns.add_arrays(views.size(), arrays);
  decode(columns.decoder, views, {}, outputs);
  return py::make_tuple(std::move(arrays), found());
}
