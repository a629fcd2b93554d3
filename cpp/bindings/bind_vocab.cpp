#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "column.hpp"
#include "string_column.hpp"
#include "vocab/merge_runs.hpp"
#include "vocab/string_rows.hpp"
#include "vocab/vocabulary.hpp"
#include "vocab/vocabulary_index.hpp"

namespace py = pybind11;

namespace {

using Ids = py::array_t<std::int32_t>;
using Counts = py::array_t<std::int64_t, py::array::c_style>;
using Slots = py::array_t<std::uint64_t, py::array::c_style>;

void require_limit(std::int64_t freq_limit) {
  if (freq_limit < 1)
    throw py::value_error("freq_limit must be at least 1, got " + std::to_string(freq_limit));
}

// Takes turns when several Python threads use one builder: they run without the GIL.
class PyVocabularyBuilder {
 public:
  explicit PyVocabularyBuilder(std::optional<std::string> separator)
      : builder_(std::move(separator)) {}

  void add(const py::object& strings) {
    const auto column = PyColumn::strings_from_python(strings, "strings");
    const py::gil_scoped_release nogil;
    const std::lock_guard lock(mutex_);
    for (const auto& chunk : column.chunks()) builder_.add(chunk);
  }

  [[nodiscard]] py::tuple finish(std::int64_t freq_limit) const {
    require_limit(freq_limit);
    return counted([&] { return builder_.finish(freq_limit); });
  }

  [[nodiscard]] py::tuple run() const {
    return counted([&] { return builder_.run(); });
  }

  [[nodiscard]] std::size_t size() const {
    const py::gil_scoped_release nogil;
    const std::lock_guard lock(mutex_);
    return builder_.size();
  }

 private:
  // What make() gives, made without the GIL.
  template <typename Make>
  [[nodiscard]] py::tuple counted(const Make& make) const {
    friesian::CountedStrings result = [&] {
      const py::gil_scoped_release nogil;
      const std::lock_guard lock(mutex_);
      return make();
    }();
    Counts counts(static_cast<py::ssize_t>(result.counts.size()));
    std::copy(result.counts.begin(), result.counts.end(), counts.mutable_data());
    return py::make_tuple(string_values_to_python(std::move(result.values)), counts);
  }

  friesian::VocabularyBuilder builder_;
  mutable std::mutex mutex_;
};

friesian::StringValues joined(std::span<const friesian::Column> chunks) {
  std::size_t count = 0, total = 0;
  const auto measure = [&](std::size_t, std::string_view text) {
    ++count;
    total += text.size();
  };
  for (const auto& chunk : chunks) friesian::for_each_string(chunk, measure);
  friesian::StringValues values(count, total);
  const auto append = [&](std::size_t, std::string_view text) { values.append(text); };
  for (const auto& chunk : chunks) friesian::for_each_string(chunk, append);
  return values;
}

// An index and what it borrows: the values in the caller's own memory, copied only if they come in
// several chunks, and the slots if the caller has them.
class PyVocabularyIndex {
 public:
  PyVocabularyIndex(const py::object& values, std::optional<Slots> slots)
      : column_(PyColumn::strings_from_python(values, "values")), slots_(std::move(slots)) {
    if (column_.chunks().size() != 1 && has_nulls())
      throw py::value_error("values must not contain nulls; drop them first");
    std::optional<std::span<const std::uint64_t>> given;
    if (slots_) given.emplace(slots_->data(), static_cast<std::size_t>(slots_->size()));
    const py::gil_scoped_release nogil;
    if (column_.chunks().size() != 1) joined_.emplace(joined(column_.chunks()));
    if (given)
      index_.emplace(column(), *given);
    else
      index_.emplace(column());
  }

  [[nodiscard]] const friesian::VocabularyIndex& index() const { return *index_; }

  [[nodiscard]] static Slots slots(const py::object& self) {
    const auto all = self.cast<const PyVocabularyIndex&>().index().slots();
    Slots view(static_cast<py::ssize_t>(all.size()), all.data(), self);
    view.attr("flags").attr("writeable") = false;
    return view;
  }

 private:
  [[nodiscard]] bool has_nulls() const {
    for (const auto& chunk : column_.chunks())
      for (std::size_t row = 0; row < chunk.length; ++row)
        if (chunk.is_null(row)) return true;
    return false;
  }

  [[nodiscard]] friesian::Column column() const {
    return joined_ ? friesian::column_of(*joined_) : column_.chunks().front();
  }

  PyColumn column_;
  std::optional<Slots> slots_;
  std::optional<friesian::StringValues> joined_;
  std::optional<friesian::VocabularyIndex> index_;
};

py::object merge_runs(const std::vector<std::pair<py::object, Counts>>& runs,
                      std::int64_t freq_limit) {
  require_limit(freq_limit);
  std::vector<PyColumn> owners;
  std::vector<friesian::CountedRun> borrowed;
  for (const auto& [values, counts] : runs) {
    owners.push_back(PyColumn::strings_from_python(values, "values"));
    const PyColumn& column = owners.back();
    if (column.chunks().size() != 1 || counts.ndim() != 1 ||
        static_cast<std::size_t>(counts.size()) != column.length())
      throw py::value_error("a run is one chunk of values and a 1-D array of as many counts");
    borrowed.push_back({column.chunks().front(), {counts.data(), column.length()}});
  }
  friesian::CountedStrings merged = [&] {
    const py::gil_scoped_release nogil;
    return friesian::merge_runs(borrowed, freq_limit);
  }();
  return string_values_to_python(std::move(merged.values));
}

// find(chunk, out) on every chunk, without the GIL.
template <typename Find>
Ids look_up(const py::object& strings, const Find& find) {
  const auto column = PyColumn::strings_from_python(strings, "strings");
  Ids out(static_cast<py::ssize_t>(column.length()));
  std::span<std::int32_t> left{out.mutable_data(), column.length()};
  const py::gil_scoped_release nogil;
  for (const auto& chunk : column.chunks()) {
    find(chunk, left.first(chunk.length));
    left = left.subspan(chunk.length);
  }
  return out;
}

Ids lookup(const PyVocabularyIndex& self, const py::object& strings) {
  return look_up(strings, [&](const friesian::Column& chunk, std::span<std::int32_t> out) {
    self.index().lookup(chunk, out);
  });
}

Ids lookup_split_min(const PyVocabularyIndex& self, const py::object& strings,
                     const std::string& separator) {
  if (separator.empty()) throw py::value_error("separator must not be empty");
  return look_up(strings, [&](const friesian::Column& chunk, std::span<std::int32_t> out) {
    self.index().lookup_split_min(chunk, separator, out);
  });
}

}  // namespace

void register_vocab(py::module_& module) {
  register_string_values(module);
  py::class_<PyVocabularyBuilder>(module, "VocabularyBuilder")
      .def(py::init<std::optional<std::string>>(), py::arg("separator") = py::none())
      .def("add", &PyVocabularyBuilder::add, py::arg("strings"))
      .def("finish", &PyVocabularyBuilder::finish, py::arg("freq_limit") = 1)
      .def("run", &PyVocabularyBuilder::run)
      .def("__len__", &PyVocabularyBuilder::size);
  py::class_<PyVocabularyIndex>(module, "VocabularyIndex")
      .def(py::init<const py::object&, std::optional<Slots>>(), py::arg("values"),
           py::arg("slots").noconvert() = py::none())
      .def("__len__", [](const PyVocabularyIndex& self) { return self.index().size(); })
      .def_property_readonly("slots", &PyVocabularyIndex::slots)
      .def("lookup", &lookup, py::arg("strings"))
      .def("lookup_split_min", &lookup_split_min, py::arg("strings"), py::arg("separator"));
  module.def("merge_runs", &merge_runs, py::arg("runs").noconvert(), py::arg("freq_limit") = 1);
}
