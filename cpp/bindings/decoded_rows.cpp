#include "decoded_rows.hpp"

#include <array>

#include "common/bytes.hpp"

namespace py = pybind11;
using namespace friesian;

namespace {

py::dtype dtype_of(ElementType type) {
  switch (type) {
    case ElementType::int32:
      return py::dtype::of<std::int32_t>();
    case ElementType::int64:
      return py::dtype::of<std::int64_t>();
    case ElementType::float32:
      return py::dtype::of<float>();
    default:
      return py::dtype::of<double>();
  }
}

py::str interned(const std::string& text) {
  PyObject* name = PyUnicode_InternFromString(text.c_str());
  if (name == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(name);
}

// NumPy's own constructor: pybind11's works out strides first, which costs as much again. A batch
// of a few hundred rows spends about as much time in making its arrays as in filling them. The
// memory is the array's own, or `data`, which `owner` keeps.
py::array new_array(const py::dtype& type, std::span<const py::ssize_t> shape,
                    unsigned char* data = nullptr, py::handle owner = {}) {
  using api = py::detail::npy_api;
  const auto& numpy = api::get();
  const int flags = data == nullptr ? 0
                                    : api::NPY_ARRAY_C_CONTIGUOUS_ | api::NPY_ARRAY_ALIGNED_ |
                                          api::NPY_ARRAY_WRITEABLE_;
  PyObject* made = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, type.inc_ref().ptr(),
                                               static_cast<int>(shape.size()), shape.data(),
                                               nullptr, data, flags, nullptr);
  if (made == nullptr) throw py::error_already_set();
  if (data != nullptr) py::detail::array_proxy(made)->base = owner.inc_ref().ptr();
  return py::reinterpret_steal<py::array>(made);
}

unsigned char* memory_of(const py::array& array) {
  return reinterpret_cast<unsigned char*>(py::detail::array_proxy(array.ptr())->data);
}

std::vector<py::str> names_of(const RowSchema& schema) {
  std::vector<py::str> names;
  for (const ColumnSpec& column : schema.columns()) names.push_back(interned(column.name));
  return names;
}

py::dict nones_of(const std::vector<py::str>& names) {
  py::dict nones;
  for (const py::str& name : names) nones[name] = py::none();
  return nones;
}

std::vector<py::dtype> types_of(const RowDecoder& decoder) {
  std::vector<py::dtype> types;
  for (const std::uint32_t column : decoder.columns())
    types.push_back(dtype_of(decoder.schema().columns()[column].type));
  return types;
}

}  // namespace

ColumnDecoder::ColumnDecoder(RowSchema schema, SimdLevel level)
    : decoder(std::move(schema), level),
      names(names_of(decoder.schema())),
      types(types_of(decoder)),
      no_arrays(nones_of(names)) {}

ColumnDecoder::ColumnDecoder(const RowSchema& schema, std::vector<std::uint32_t> columns,
                             std::vector<py::str> output_names)
    : decoder(schema, std::move(columns)),
      names(std::move(output_names)),
      types(types_of(decoder)),
      no_arrays(nones_of(names)) {}

py::dict ColumnDecoder::new_dict() const {
  PyObject* copy = PyDict_Copy(no_arrays.ptr());
  if (copy == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::dict>(copy);
}

// One piece of memory for all of them: asking for each array's own takes longer than filling it.
std::vector<unsigned char*> ColumnDecoder::add_arrays(
    std::size_t n, py::dict& arrays, const std::function<void()>& meanwhile) const {
  const RowSchema& schema = decoder.schema();
  std::size_t total = kCacheLine;
  for (const std::uint32_t column : decoder.columns())
    total += align_up(n * schema.decoded_bytes(column), kCacheLine);
  const auto bytes = static_cast<py::ssize_t>(total);
  const py::array owner = new_array(py::dtype::of<std::uint8_t>(), {&bytes, 1});
  unsigned char* at = memory_of(owner);
  at += align_up(reinterpret_cast<std::uintptr_t>(at), kCacheLine) -
        reinterpret_cast<std::uintptr_t>(at);
  // It comes from the last-level cache while the arrays are made.
  for (std::size_t line = 0; line < total - kCacheLine; line += kCacheLine)
    __builtin_prefetch(at + line, 1, 2);
  std::vector<unsigned char*> memory;
  memory.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    meanwhile();
    const ColumnSpec& column = schema.columns()[decoder.columns()[i]];
    const std::array<py::ssize_t, 2> shape{static_cast<py::ssize_t>(n), column.length};
    const std::size_t dimensions = column.kind == ColumnKind::scalar ? 1 : 2;
    const py::array array = new_array(types[i], std::span(shape).first(dimensions), at, owner);
    memory.push_back(at);
    at += align_up(n * schema.decoded_bytes(decoder.columns()[i]), kCacheLine);
    if (PyDict_SetItem(arrays.ptr(), names[i].ptr(), array.ptr()) != 0)
      throw py::error_already_set();
  }
  return memory;
}

py::array new_bools(std::size_t n, bool*& memory) {
  static_assert(sizeof(bool) == 1);
  const auto shape = static_cast<py::ssize_t>(n);
  py::array array = new_array(py::dtype::of<bool>(), {&shape, 1});
  memory = reinterpret_cast<bool*>(memory_of(array));
  return array;
}
