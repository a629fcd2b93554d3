#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>

#include "bindings.hpp"
#include "column.hpp"
#include "string_column.hpp"
#include "vocab/vocabulary.hpp"

namespace py = pybind11;

namespace {

using Ids = py::array_t<std::int32_t>;
using Counts = py::array_t<std::int64_t, py::array::c_style>;

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

  void merge(const py::object& values, const Counts& counts) {
    const auto column = PyColumn::strings_from_python(values, "values");
    std::span<const std::int64_t> left{counts.data(), static_cast<std::size_t>(counts.size())};
    if (counts.ndim() != 1 || left.size() != column.length())
      throw py::value_error("counts must be 1-D with one count for each of the " +
                            std::to_string(column.length()) + " values, got " +
                            std::to_string(left.size()));
    if (std::any_of(left.begin(), left.end(), [](std::int64_t count) { return count < 1; }))
      throw py::value_error("counts must be at least 1");
    const py::gil_scoped_release nogil;
    const std::lock_guard lock(mutex_);
    for (const auto& chunk : column.chunks()) {
      builder_.merge(chunk, left.first(chunk.length));
      left = left.subspan(chunk.length);
    }
  }

  [[nodiscard]] py::tuple finish(std::int64_t freq_limit) const {
    if (freq_limit < 1)
      throw py::value_error("freq_limit must be at least 1, got " + std::to_string(freq_limit));
    friesian::CountedStrings result;
    {
      const py::gil_scoped_release nogil;
      const std::lock_guard lock(mutex_);
      result = builder_.finish(freq_limit);
    }
    Counts counts(static_cast<py::ssize_t>(result.counts.size()));
    std::copy(result.counts.begin(), result.counts.end(), counts.mutable_data());
    return py::make_tuple(string_values_to_python(std::move(result.values)), counts);
  }

  [[nodiscard]] std::size_t size() const {
    const py::gil_scoped_release nogil;
    const std::lock_guard lock(mutex_);
    return builder_.size();
  }

 private:
  friesian::VocabularyBuilder builder_;
  mutable std::mutex mutex_;
};

std::unique_ptr<friesian::VocabularyIndex> make_index(const py::object& values) {
  const auto column = PyColumn::strings_from_python(values, "values");
  const py::gil_scoped_release nogil;
  return std::make_unique<friesian::VocabularyIndex>(column.chunks());
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

Ids lookup(const friesian::VocabularyIndex& index, const py::object& strings) {
  return look_up(strings, [&](const friesian::Column& chunk, std::span<std::int32_t> out) {
    index.lookup(chunk, out);
  });
}

Ids lookup_split_min(const friesian::VocabularyIndex& index, const py::object& strings,
                     const std::string& separator) {
  if (separator.empty()) throw py::value_error("separator must not be empty");
  return look_up(strings, [&](const friesian::Column& chunk, std::span<std::int32_t> out) {
    index.lookup_split_min(chunk, separator, out);
  });
}

}  // namespace

void register_vocab(py::module_& module) {
  register_string_values(module);
  py::class_<PyVocabularyBuilder>(module, "VocabularyBuilder")
      .def(py::init<std::optional<std::string>>(), py::arg("separator") = py::none())
      .def("add", &PyVocabularyBuilder::add, py::arg("strings"))
      .def("merge", &PyVocabularyBuilder::merge, py::arg("values"), py::arg("counts").noconvert())
      .def("finish", &PyVocabularyBuilder::finish, py::arg("freq_limit") = 1)
      .def("__len__", &PyVocabularyBuilder::size);
  py::class_<friesian::VocabularyIndex>(module, "VocabularyIndex")
      .def(py::init(&make_index), py::arg("values"))
      .def("__len__", &friesian::VocabularyIndex::size)
      .def("lookup", &lookup, py::arg("strings"))
      .def("lookup_split_min", &lookup_split_min, py::arg("strings"), py::arg("separator"));
}
