#include "column.hpp"

#include <cstring>
#include <optional>

namespace py = pybind11;
using friesian::Column;
using friesian::ColumnType;

namespace {

constexpr const char* kAccepted = "strings, integers, booleans or float64";

std::string type_name(const py::object& object) {
  return py::str(py::type::of(object).attr("__name__"));
}

template <typename T>
T* pointer_in(const py::handle& capsule, const char* capsule_name) {
  void* pointer = PyCapsule_GetPointer(capsule.ptr(), capsule_name);
  if (pointer == nullptr) throw py::error_already_set();
  return static_cast<T*>(pointer);
}

std::optional<ColumnType> type_of_format(const char* format) {
  if (format == nullptr || format[0] == '\0' || format[1] != '\0') return std::nullopt;
  switch (format[0]) {
    case 'c':
      return ColumnType::int8;
    case 's':
      return ColumnType::int16;
    case 'i':
      return ColumnType::int32;
    case 'l':
      return ColumnType::int64;
    case 'C':
      return ColumnType::uint8;
    case 'S':
      return ColumnType::uint16;
    case 'I':
      return ColumnType::uint32;
    case 'L':
      return ColumnType::uint64;
    case 'b':
      return ColumnType::boolean;
    case 'g':
      return ColumnType::float64;
    case 'u':
      return ColumnType::string;
    case 'U':
      return ColumnType::large_string;
    default:
      return std::nullopt;
  }
}

ColumnType require_type(const ArrowSchema& schema, const std::string& name) {
  if (schema.dictionary != nullptr)
    throw py::type_error(name + " is dictionary-encoded; decode it first");
  const auto type = type_of_format(schema.format);
  if (!type)
    throw py::type_error(name + " must hold " + kAccepted + ", got Arrow format '" +
                         (schema.format == nullptr ? "" : schema.format) + "'; cast it first");
  return *type;
}

Column column_of(const ArrowArray& array, ColumnType type) {
  Column column;
  column.type = type;
  column.offset = static_cast<std::size_t>(array.offset);
  column.length = static_cast<std::size_t>(array.length);
  column.values = array.buffers[column.is_string() ? 2 : 1];
  if (column.is_string()) column.offsets = array.buffers[1];
  if (array.null_count != 0)  // -1 means "not counted"
    column.validity = static_cast<const std::uint8_t*>(array.buffers[0]);
  return column;
}

std::optional<ColumnType> type_of_dtype(const py::dtype& dtype) {
  const bool is_signed = dtype.kind() == 'i';
  if (dtype.kind() == 'b') return ColumnType::byte_boolean;
  if (dtype.kind() == 'f' && dtype.itemsize() == 8) return ColumnType::float64;
  if (!is_signed && dtype.kind() != 'u') return std::nullopt;
  switch (dtype.itemsize()) {
    case 1:
      return is_signed ? ColumnType::int8 : ColumnType::uint8;
    case 2:
      return is_signed ? ColumnType::int16 : ColumnType::uint16;
    case 4:
      return is_signed ? ColumnType::int32 : ColumnType::uint32;
    default:
      return is_signed ? ColumnType::int64 : ColumnType::uint64;
  }
}

void append_utf8(std::uint32_t code, std::vector<std::uint8_t>& out, const std::string& name) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<std::uint8_t>(byte)); };
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
    throw py::value_error(name + " holds a character that UTF-8 cannot encode");
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | (code >> 6));
  } else {
    if (code < 0x10000) {
      put(0xe0 | (code >> 12));
    } else {
      put(0xf0 | (code >> 18));
      put(0x80 | ((code >> 12) & 0x3f));
    }
    put(0x80 | ((code >> 6) & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

// NumPy pads fixed-width text with zeros; what is left without them is the value.
template <typename Unit>
std::size_t unpadded(const Unit* cell, std::size_t width) {
  while (width > 0 && cell[width - 1] == 0) --width;
  return width;
}

}  // namespace

void PyColumn::read_numpy(const py::array& array, const std::string& name) {
  const py::dtype dtype = array.dtype();
  const auto dtype_text = [&] { return std::string(py::str(dtype)); };
  if (array.ndim() != 1 || (array.flags() & py::array::c_style) == 0)
    throw py::value_error(name + " must be 1-D and C-contiguous");
  if (!array.attr("flags").attr("aligned").cast<bool>())
    throw py::value_error(name + " is not aligned to its type; copy it first");
  if (!dtype.attr("isnative").cast<bool>())
    throw py::type_error(name + " has dtype " + dtype_text() + "; convert it to native byte order");
  owners_.push_back(array);
  if (dtype.kind() == 'U' || dtype.kind() == 'S') return read_numpy_text(array, name);
  const auto type = type_of_dtype(dtype);
  if (!type)
    throw py::type_error(name + " must hold " + kAccepted + ", got dtype " + dtype_text() +
                         "; convert it first");
  Column column;
  column.type = *type;
  column.values = array.data();
  column.length = static_cast<std::size_t>(array.size());
  chunks_.push_back(column);
}

void PyColumn::read_numpy_text(const py::array& array, const std::string& name) {
  OwnedStrings& text = texts_.emplace_back();
  const auto rows = static_cast<std::size_t>(array.size());
  const auto size = static_cast<std::size_t>(array.itemsize());
  const auto* cell = static_cast<const std::uint8_t*>(array.data());
  const bool wide = array.dtype().kind() == 'U';
  std::vector<std::uint32_t> codes(wide ? size / 4 : 0);
  for (std::size_t row = 0; row < rows; ++row, cell += size) {
    if (wide) {
      if (size != 0) std::memcpy(codes.data(), cell, size);
      const std::size_t length = unpadded(codes.data(), codes.size());
      for (std::size_t i = 0; i < length; ++i) append_utf8(codes[i], text.bytes, name);
    } else {
      text.bytes.insert(text.bytes.end(), cell, cell + unpadded(cell, size));
    }
    text.offsets.push_back(static_cast<std::int64_t>(text.bytes.size()));
  }
  Column column;
  column.type = ColumnType::large_string;
  column.values = text.bytes.data();
  column.offsets = text.offsets.data();
  column.length = rows;
  chunks_.push_back(column);
}

void PyColumn::read_arrow_array(const py::object& object, const std::string& name) {
  const py::tuple capsules = object.attr("__arrow_c_array__")();
  const auto* schema = pointer_in<ArrowSchema>(capsules[0], "arrow_schema");
  const auto* array = pointer_in<ArrowArray>(capsules[1], "arrow_array");
  const ColumnType type = require_type(*schema, name);
  owners_.push_back(capsules);
  chunks_.push_back(column_of(*array, type));
}

void PyColumn::read_arrow_stream(const py::object& object, const std::string& name) {
  const py::object capsule = object.attr("__arrow_c_stream__")();
  auto* stream = pointer_in<ArrowArrayStream>(capsule, "arrow_array_stream");
  const auto require = [&](int status) {
    if (status == 0) return;
    const char* message = stream->get_last_error(stream);
    throw py::value_error(name + " could not be read: " + (message == nullptr ? "" : message));
  };
  ArrowSchema schema{};
  require(stream->get_schema(stream, &schema));
  const std::shared_ptr<ArrowSchema> schema_owner(&schema, [](ArrowSchema* s) { s->release(s); });
  const ColumnType type = require_type(schema, name);
  for (;;) {
    auto array = std::make_unique<ArrowArray>();
    require(stream->get_next(stream, array.get()));
    if (array->release == nullptr) break;  // the end of the stream
    arrays_.emplace_back(array.release(), [](ArrowArray* a) {
      a->release(a);
      delete a;
    });
    chunks_.push_back(column_of(*arrays_.back(), type));
  }
  if (chunks_.empty()) chunks_.emplace_back().type = type;
}

PyColumn PyColumn::from_python(const py::object& object, const std::string& name) {
  PyColumn column;
  if (py::isinstance<py::array>(object))
    column.read_numpy(py::reinterpret_borrow<py::array>(object), name);
  else if (py::hasattr(object, "__arrow_c_array__"))
    column.read_arrow_array(object, name);
  else if (py::hasattr(object, "__arrow_c_stream__"))
    column.read_arrow_stream(object, name);
  else
    throw py::type_error(name + " must be a NumPy array or an Arrow column (__arrow_c_array__ or " +
                         "__arrow_c_stream__), got " + type_name(object));
  return column;
}

PyColumn PyColumn::strings_from_python(const py::object& object, const std::string& name) {
  PyColumn column = from_python(object, name);
  for (const Column& chunk : column.chunks_)
    if (!chunk.is_string()) throw py::type_error(name + " must hold strings; cast it first");
  return column;
}

std::size_t PyColumn::length() const {
  std::size_t rows = 0;
  for (const Column& chunk : chunks_) rows += chunk.length;
  return rows;
}
