#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "bindings.hpp"
#include "common/bytes.hpp"
#include "common/error.hpp"
#include "decoded_rows.hpp"
#include "errors.hpp"
#include "id_list.hpp"
#include "number_column.hpp"
#include "rows/row_decode.hpp"
#include "rows/row_encode.hpp"
#include "rows/row_schema.hpp"
#include "rows/row_store.hpp"

namespace py = pybind11;
using namespace friesian;

namespace {

RowSchema make_schema(
    const std::vector<std::tuple<std::string, std::string, std::string, std::uint32_t>>& columns,
    const py::bytes& tag) {
  static constexpr std::array<std::string_view, 4> kTypes{"int32", "int64", "float32", "float64"};
  static constexpr std::array<std::string_view, 3> kKinds{"scalar", "fixed", "list"};
  std::vector<ColumnSpec> specs;
  for (const auto& [name, type, kind, length] : columns) {
    const auto* type_at = std::find(kTypes.begin(), kTypes.end(), type);
    const auto* kind_at = std::find(kKinds.begin(), kKinds.end(), kind);
    if (type_at == kTypes.end() || kind_at == kKinds.end())
      throw InvalidInput("column '" + name + "' has type '" + type + "' and kind '" + kind +
                         "'; there is no such column");
    specs.push_back({name, static_cast<ElementType>(type_at - kTypes.begin()),
                     static_cast<ColumnKind>(kind_at - kKinds.begin()), length});
  }
  const std::string_view bytes = tag;
  RowTag row_tag{};
  if (bytes.size() != row_tag.size())
    throw InvalidInput("a row tag has 8 bytes, got " + std::to_string(bytes.size()));
  std::copy(bytes.begin(), bytes.end(), row_tag.begin());
  return RowSchema(std::move(specs), row_tag);
}

template <typename T>
py::array_t<T> as_array(std::vector<T>&& values) {
  auto held = std::make_unique<std::vector<T>>(std::move(values));
  const auto size = static_cast<py::ssize_t>(held->size());
  T* data = held->data();
  const py::capsule owner(held.release(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(size, data, owner);
}

py::tuple encode(const RowSchema& schema, const py::sequence& columns) {
  std::vector<NumberColumn> owners;
  std::vector<ColumnInput> inputs;
  if (columns.size() != schema.columns().size())
    throw InvalidInput("the rows have " + std::to_string(schema.columns().size()) +
                       " columns, got " + std::to_string(columns.size()));
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const ColumnSpec& column = schema.columns()[i];
    owners.push_back(NumberColumn::from_python(columns[i], column));
    inputs.push_back(owners.back().input);
    if (owners.back().rows != owners.front().rows)
      throw InvalidInput("column '" + column.name + "' has " + std::to_string(owners.back().rows) +
                         " rows, but column '" + schema.columns()[0].name + "' has " +
                         std::to_string(owners.front().rows));
  }
  PackedRows packed;
  {
    const py::gil_scoped_release nogil;
    packed = encode_rows(schema, inputs, owners.front().rows);
  }
  return py::make_tuple(as_array(std::move(packed.buffer)), as_array(std::move(packed.offsets)));
}

py::tuple decode_views(const RowSchema& schema, std::span<const RowView> rows,
                       const py::object& ids) {
  DecodedRows decoded(schema, rows.size());
  const DecodeOutputs out = decoded.outputs();
  try {
    const py::gil_scoped_release nogil;
    decode_rows(schema, rows, 0, out);
  } catch (const RowFault& fault) {
    raise_fault(fault, ids);
  }
  return decoded.result();
}

py::tuple decode(const RowSchema& schema, const py::sequence& rows, const py::object& ids) {
  constexpr std::size_t kAhead = 16, kMaxPrefetchBytes = 512;
  const std::size_t ahead_bytes =
      std::min<std::size_t>(schema.fixed_end() + kCacheLine / 2, kMaxPrefetchBytes);
  const py::tuple all(rows);  // a tuple of our own: nobody can take a row away while it is read
  std::vector<RowView> views(all.size());
  for (std::size_t i = 0; i < views.size(); ++i) {
    // The object's own header stands in front of the bytes; both are about to be read.
    if (i + kAhead < views.size())
      prefetch(PyTuple_GET_ITEM(all.ptr(), static_cast<Py_ssize_t>(i + kAhead)), ahead_bytes);
    PyObject* row = PyTuple_GET_ITEM(all.ptr(), static_cast<Py_ssize_t>(i));
    if (row == Py_None) continue;
    if (!PyBytes_Check(row))
      throw py::type_error("row " + std::to_string(i) + " must be bytes or None, got " +
                           Py_TYPE(row)->tp_name);
    const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(row));
    if (size > 0) views[i] = {reinterpret_cast<const unsigned char*>(PyBytes_AS_STRING(row)), size};
  }
  return decode_views(schema, views, ids);
}

using ByteArray = py::array_t<unsigned char, py::array::c_style>;
using OffsetArray = py::array_t<std::int64_t, py::array::c_style>;

void check_packed(const ByteArray& buffer, const OffsetArray& offsets) {
  const std::span all(offsets.data(), static_cast<std::size_t>(offsets.size()));
  if (all.empty() || all.front() != 0 || all.back() != buffer.size() ||
      !std::is_sorted(all.begin(), all.end()))
    throw InvalidInput(
        "the offsets of packed rows must begin at 0, never fall, and end at the "
        "size of the buffer");
}

py::tuple decode_packed(const RowSchema& schema, const ByteArray& buffer,
                        const OffsetArray& offsets, const py::object& ids) {
  check_packed(buffer, offsets);
  std::vector<RowView> views(static_cast<std::size_t>(offsets.size()) - 1);
  for (std::size_t i = 0; i < views.size(); ++i) {
    const auto size = static_cast<std::size_t>(offsets.data()[i + 1] - offsets.data()[i]);
    if (size > 0) views[i] = {buffer.data() + offsets.data()[i], size};
  }
  return decode_views(schema, views, ids);
}

std::size_t count_of(const IdList& ids, bool strings) {
  return strings ? ids.strings.size() : ids.numbers.size();
}

py::tuple store_decode(const RowStore& store, const py::object& ids) {
  const bool strings = store.id_kind() == IdKind::string;
  const IdList list = IdList::from_python(ids, strings);
  DecodedRows decoded(store.schema(), count_of(list, strings));
  const DecodeOutputs out = decoded.outputs();
  try {
    const py::gil_scoped_release nogil;
    if (strings)
      store.decode(list.strings, out);
    else
      store.decode(list.numbers, out);
  } catch (const RowFault& fault) {
    raise_fault(fault, ids);
  }
  return decoded.result();
}

py::list store_get(const RowStore& store, const py::object& ids) {
  const bool strings = store.id_kind() == IdKind::string;
  const IdList list = IdList::from_python(ids, strings);
  std::vector<RowView> rows(count_of(list, strings));
  {
    const py::gil_scoped_release nogil;
    if (strings)
      store.find(list.strings, rows);
    else
      store.find(list.numbers, rows);
  }
  py::list out(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    out[i] = rows[i].data == nullptr
                 ? py::object(py::none())
                 : py::bytes(reinterpret_cast<const char*>(rows[i].data), rows[i].size);
  return out;
}

py::object store_ids(const RowStore& store) {
  if (store.id_kind() == IdKind::int64) return as_array(store.int64_ids());
  py::list out;
  for (const std::string_view id : store.string_ids()) out.append(id_text(id));
  return out;
}

void write_store(const std::string& path, const RowSchema& schema, bool strings,
                 const py::object& ids, const ByteArray& buffer, const OffsetArray& offsets) {
  const IdList list = IdList::from_python(ids, strings);
  check_packed(buffer, offsets);
  const std::size_t n = count_of(list, strings);
  if (n + 1 != static_cast<std::size_t>(offsets.size()))
    throw InvalidInput("there are " + std::to_string(n) + " ids, but " +
                       std::to_string(offsets.size() - 1) + " rows");
  const std::span rows(buffer.data(), static_cast<std::size_t>(buffer.size()));
  const std::span ends(offsets.data(), static_cast<std::size_t>(offsets.size()));
  const py::gil_scoped_release nogil;
  if (strings)
    write_row_store(path, schema.tag(), list.strings, rows, ends);
  else
    write_row_store(path, schema.tag(), list.numbers, rows, ends);
}

}  // namespace

void register_rows(py::module_& module) {
  register_errors(module);
  py::class_<RowSchema>(module, "RowSchema")
      .def(py::init(&make_schema), py::arg("columns"), py::arg("tag"))
      .def("encode", &encode, py::arg("columns"))
      .def("decode", &decode, py::arg("rows"), py::arg("ids") = py::none())
      .def("decode_packed", &decode_packed, py::arg("buffer"), py::arg("offsets"),
           py::arg("ids") = py::none());
  py::class_<RowStore>(module, "RowStore")
      .def(
          py::init([](const std::string& path, const RowSchema& schema, bool strings, bool verify) {
            return std::make_unique<RowStore>(path, schema,
                                              strings ? IdKind::string : IdKind::int64, verify);
          }),
          py::arg("path"), py::arg("schema"), py::arg("string_ids"), py::arg("verify") = false,
          py::call_guard<py::gil_scoped_release>())  // verifying reads the whole file
      .def("__len__", &RowStore::size)
      .def("ids", &store_ids)
      .def("decode", &store_decode, py::arg("ids"))
      .def("get", &store_get, py::arg("ids"));
  module.def("write_row_store", &write_store, py::arg("path"), py::arg("schema"),
             py::arg("string_ids"), py::arg("ids"), py::arg("buffer"), py::arg("offsets"));
}
