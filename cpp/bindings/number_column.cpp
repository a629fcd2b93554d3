#include "number_column.hpp"

#include <array>
#include <string>
#include <string_view>

#include "arrow_abi.hpp"
#include "common/error.hpp"

namespace py = pybind11;

namespace {

using friesian::ColumnKind;
using friesian::ColumnSpec;

struct TypeNames {
  const char* numpy;
  const char* arrow;
};
constexpr std::array<TypeNames, 4> kTypes{
    {{"int32", "i"}, {"int64", "l"}, {"float32", "f"}, {"float64", "g"}}};

const TypeNames& names_of(const ColumnSpec& column) {
  return kTypes[static_cast<std::size_t>(column.type)];
}

[[noreturn]] void reject(const ColumnSpec& column, const std::string& what) {
  throw friesian::InvalidInput("column '" + column.name + "' " + what);
}

[[noreturn]] void reject_type(const ColumnSpec& column, const std::string& got) {
  reject(column,
         "has type " + got + ", but the spec says " + names_of(column).numpy + "; cast it first");
}

NumberColumn from_numpy(const py::array& array, const ColumnSpec& column) {
  if (!array.dtype().equal(py::dtype(names_of(column).numpy)))
    reject_type(column, py::str(array.dtype()));
  const py::ssize_t ndim = column.kind == ColumnKind::scalar ? 1 : 2;
  if (array.ndim() != ndim || (array.flags() & py::array::c_style) == 0)
    reject(column, "must be " + std::to_string(ndim) + "-D and C-contiguous");
  NumberColumn out;
  out.owner = array;
  out.rows = array.shape(0);
  out.input.values = static_cast<const unsigned char*>(array.data());
  out.input.step = ndim == 1 ? 1 : array.shape(1);
  return out;
}

template <typename T>
const T* pointer_in(const py::handle& capsule, const char* name) {
  auto* pointer = static_cast<const T*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (pointer == nullptr) throw py::error_already_set();
  return pointer;
}

// Only once the format is known: some types have no bitmap, and not even a list of buffers.
void take_validity(const ArrowArray& array, friesian::ColumnInput& input) {
  if (array.null_count == 0) return;  // -1 means "not counted"
  input.validity = static_cast<const std::uint8_t*>(array.buffers[0]);
  input.validity_offset = array.offset;
}

// Whether an element of a row that is not null itself is null; below a null row anything may be.
bool nulls_inside(const ArrowArray& child, std::int64_t first, std::int64_t rows,
                  const friesian::ColumnInput& input) {
  if (child.null_count == 0 || child.buffers[0] == nullptr) return false;
  const auto* bits = static_cast<const std::uint8_t*>(child.buffers[0]);
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t begin = child.offset + first + input.begin(row);
    for (std::int64_t bit = begin; bit < begin + input.count(row); ++bit)
      if (((bits[bit / 8] >> (bit % 8)) & 1) == 0) return true;
  }
  return false;
}

void require_number(const ArrowSchema& schema, const ColumnSpec& column) {
  // The format of a dictionary-encoded array is that of its indices.
  if (schema.dictionary != nullptr) reject(column, "is dictionary-encoded; decode it first");
  if (std::string_view(schema.format) != names_of(column).arrow)
    reject_type(column, "Arrow '" + std::string(schema.format) + "'");
}

void take_values(const ArrowArray& array, std::int64_t first, const ColumnSpec& column,
                 friesian::ColumnInput& input) {
  input.values = static_cast<const unsigned char*>(array.buffers[1]);
  if (input.values != nullptr)
    input.values += (array.offset + first) * friesian::element_bytes(column.type);
}

// Arrow's lists: "+l" and "+L" have offsets into their child, "+w:<n>" has n elements a row.
void take_lists(const ArrowSchema& schema, const ArrowArray& array, const ColumnSpec& column,
                friesian::ColumnInput& input) {
  if (schema.dictionary != nullptr) reject(column, "is dictionary-encoded; decode it first");
  const std::string_view format(schema.format);
  std::int64_t first = 0;
  if (format == "+l") {
    input.offsets32 = static_cast<const std::int32_t*>(array.buffers[1]) + array.offset;
  } else if (format == "+L") {
    input.offsets64 = static_cast<const std::int64_t*>(array.buffers[1]) + array.offset;
  } else if (format.substr(0, 3) == "+w:") {
    input.step = std::stoll(std::string(format.substr(3)));
    first = array.offset * input.step;
  } else {
    reject(column, "of kind " + std::string(column.kind == ColumnKind::list ? "list" : "fixed") +
                       " needs an Arrow list, large_list or fixed_size_list, got Arrow '" +
                       schema.format + "'");
  }
  require_number(*schema.children[0], column);
  take_validity(array, input);
  if (nulls_inside(*array.children[0], first, array.length, input))
    reject(column, "has nulls inside its lists; fill or drop them first");
  take_values(*array.children[0], first, column, input);
}

NumberColumn from_arrow(const py::object& value, const ColumnSpec& column) {
  const py::tuple capsules = value.attr("__arrow_c_array__")();
  const auto* schema = pointer_in<ArrowSchema>(capsules[0], "arrow_schema");
  const auto* array = pointer_in<ArrowArray>(capsules[1], "arrow_array");
  NumberColumn out;
  out.owner = capsules;
  out.rows = array->length;
  if (column.kind == ColumnKind::scalar) {
    require_number(*schema, column);
    take_validity(*array, out.input);
    take_values(*array, 0, column, out.input);
  } else {
    take_lists(*schema, *array, column, out.input);
  }
  return out;
}

}  // namespace

NumberColumn NumberColumn::from_python(const py::object& value, const ColumnSpec& column) {
  if (py::isinstance<py::array>(value))
    return from_numpy(py::reinterpret_borrow<py::array>(value), column);
  if (py::hasattr(value, "__arrow_c_array__")) return from_arrow(value, column);
  throw py::type_error("column '" + column.name +
                       "' must be a NumPy array or export __arrow_c_array__, got " +
                       std::string(py::str(py::type::of(value).attr("__name__"))));
}
