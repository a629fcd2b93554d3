#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "common/bitmap.hpp"
#include "common/error.hpp"
#include "id_list.hpp"
#include "ivf/filter_bitmap.hpp"
#include "ivf/filter_range.hpp"
#include "ivf/filter_set.hpp"
#include "ivf/id_positions.hpp"
#include "ivf/ivf_search.hpp"
#include "level.hpp"

namespace py = pybind11;
using namespace friesian;

namespace {

using Words = py::array_t<std::uint64_t>;

template <typename T>
bool holds(const py::array& array) {
  return array.dtype().equal(py::dtype::of<T>());
}

void require_flat(const py::array& array, const char* name) {
  if (array.ndim() != 1 || (array.flags() & py::array::c_style) == 0)
    throw py::value_error(std::string(name) + " must be 1-D and C-contiguous");
}

template <typename T>
std::span<const T> span_of(const py::array& array) {
  return {static_cast<const T*>(array.data()), static_cast<std::size_t>(array.size())};
}

Words new_bitmap(std::size_t bits) { return Words(static_cast<py::ssize_t>(bitmap_words(bits))); }

// Calls `run` with a value of the array's own type.
template <typename Run>
Words for_type(const py::array& values, const Run& run) {
  require_flat(values, "values");
  if (holds<std::int32_t>(values)) return run(std::int32_t{});
  if (holds<std::int64_t>(values)) return run(std::int64_t{});
  if (holds<float>(values)) return run(float{});
  if (holds<double>(values)) return run(double{});
  throw py::type_error("values must be int32, int64, float32 or float64, got " +
                       std::string(py::str(values.dtype())));
}

Words range(const py::array& values, const py::object& low, const py::object& high,
            const std::optional<std::string>& level) {
  const SimdLevel run_level = resolve_simd_level(level);
  return for_type(values, [&]<typename T>(T) {
    const auto from = low.cast<T>(), to = high.cast<T>();
    const std::span<const T> rows = span_of<T>(values);
    Words out = new_bitmap(rows.size());
    std::uint64_t* const words = out.mutable_data();
    const py::gil_scoped_release nogil;
    filter_range(rows, from, to, run_level, words);
    return out;
  });
}

Words set(const py::array& values, const py::array& wanted,
          const std::optional<std::string>& level) {
  const SimdLevel run_level = resolve_simd_level(level);
  require_flat(wanted, "wanted");
  return for_type(values, [&]<typename T>(T) {
    if (!holds<T>(wanted))
      throw py::type_error("wanted must have the dtype of values, " +
                           std::string(py::str(values.dtype())) + ", got " +
                           std::string(py::str(wanted.dtype())));
    const std::span<const T> rows = span_of<T>(values), some = span_of<T>(wanted);
    const auto falls = [](T a, T b) { return !(a < b); };
    if (std::adjacent_find(some.begin(), some.end(), falls) != some.end() ||
        (!some.empty() && some.back() != some.back()))
      throw py::value_error("wanted must rise strictly and hold no NaN");
    Words out = new_bitmap(rows.size());
    std::uint64_t* const words = out.mutable_data();
    const py::gil_scoped_release nogil;
    filter_set(rows, some, run_level, words);
    return out;
  });
}

std::span<const std::uint64_t> words_of(const py::array& bitmap) {
  require_flat(bitmap, "bitmap");
  if (!holds<std::uint64_t>(bitmap)) throw py::type_error("bitmap must be uint64");
  return span_of<std::uint64_t>(bitmap);
}

std::size_t count(const py::array& bitmap) {
  const auto words = words_of(bitmap);
  const py::gil_scoped_release nogil;
  return bitmap_count(words);
}

// The lists that hold a position of the bitmap, as a bitmap of lists.
Words lists(const IvfLayout& layout, const py::array& bitmap) {
  const auto words = words_of(bitmap);
  if (words.size() != bitmap_words(layout.size()))
    throw py::value_error("bitmap must have " + std::to_string(bitmap_words(layout.size())) +
                          " words, got " + std::to_string(words.size()));
  Words out = new_bitmap(layout.nlist());
  std::uint64_t* const found = out.mutable_data();
  const py::gil_scoped_release nogil;
  bitmap_lists(layout, words, found);
  return out;
}

// The layout is kept by pybind11 (keep_alive).
py::array_t<std::uint32_t> find(const IdPositions& table, const py::object& ids, bool strings) {
  if (strings != table.string_ids()) throw py::type_error("the layout's ids are of the other kind");
  const IdList list = IdList::from_python(ids, strings);
  const std::size_t n = strings ? list.strings.size() : list.numbers.size();
  py::array_t<std::uint32_t> out(static_cast<py::ssize_t>(n));
  std::uint32_t* const positions = out.mutable_data();
  const py::gil_scoped_release nogil;
  if (strings)
    table.find(std::span<const std::string_view>(list.strings), positions);
  else
    table.find(list.numbers, positions);
  return out;
}

}  // namespace

void register_filter(py::module_& module) {
  module.def("filter_range", &range, py::arg("values"), py::arg("low"), py::arg("high"),
             py::kw_only(), py::arg("level") = py::none());
  module.def("filter_set", &set, py::arg("values"), py::arg("wanted"), py::kw_only(),
             py::arg("level") = py::none());
  module.def("bitmap_count", &count, py::arg("bitmap"));
  module.def("bitmap_lists", &lists, py::arg("layout"), py::arg("bitmap"));
  py::class_<IdPositions>(module, "IdPositions")
      .def(py::init<const IvfLayout&>(), py::arg("layout"), py::keep_alive<1, 2>(),
           py::call_guard<py::gil_scoped_release>())
      .def("find", &find, py::arg("ids"), py::arg("strings"));
}
