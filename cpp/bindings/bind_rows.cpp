#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "bindings.hpp"
#include "common/error.hpp"
#include "decoded_rows.hpp"
#include "errors.hpp"
#include "id_list.hpp"
#include "level.hpp"
#include "number_column.hpp"
#include "row_batch.hpp"
#include "row_inputs.hpp"
#include "rows/row_encode.hpp"
#include "rows/row_schema.hpp"
#include "rows/row_store.hpp"

namespace py = pybind11;
using namespace friesian;

namespace {

std::unique_ptr<ColumnDecoder> make_schema(
    const std::vector<std::tuple<std::string, std::string, std::string, std::uint32_t>>& columns,
    const py::bytes& tag, const std::optional<std::string>& level) {
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
  return std::make_unique<ColumnDecoder>(RowSchema(std::move(specs), row_tag),
                                         resolve_simd_level(level));
}

template <typename T>
py::array_t<T> as_array(std::vector<T>&& values) {
  auto held = std::make_unique<std::vector<T>>(std::move(values));
  const auto size = static_cast<py::ssize_t>(held->size());
  T* data = held->data();
  const py::capsule owner(held.release(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(size, data, owner);
}

py::tuple encode(const ColumnDecoder& rows, const py::sequence& columns) {
  const RowSchema& schema = rows.decoder.schema();
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

py::tuple decode_packed(const ColumnDecoder& columns, const ByteArray& buffer,
                        const OffsetArray& offsets, py::object ids) {
  check_packed(buffer, offsets);
  const auto n = static_cast<std::size_t>(offsets.size()) - 1;
  RowBatch batch{std::vector<RowView>(n), buffer, std::move(ids)};
  for (std::size_t i = 0; i < n; ++i) {
    const auto size = static_cast<std::size_t>(offsets.data()[i + 1] - offsets.data()[i]);
    if (size > 0) batch.views[i] = {buffer.data() + offsets.data()[i], size};
  }
  return batch.columns(columns);
}

std::size_t count_of(const IdList& ids, bool strings) {
  return strings ? ids.strings.size() : ids.numbers.size();
}

// Calls `use` with the ids of the list, as numbers or strings.
template <typename Use>
void with_ids(const IdList& list, bool strings, const Use& use) {
  if (strings)
    use(std::span<const std::string_view>(list.strings));
  else
    use(list.numbers);
}

RowBatch find_rows(const py::object& self, const IdList& list, const py::object& ids) {
  const auto& store = self.cast<const RowStore&>();
  const bool strings = store.id_kind() == IdKind::string;
  RowBatch batch{std::vector<RowView>(count_of(list, strings)), self, ids, true};
  const py::gil_scoped_release nogil;
  with_ids(list, strings, [&](auto typed) { store.find(typed, batch.views); });
  return batch;
}

RowBatch store_find(const py::object& self, const py::object& ids) {
  const bool strings = self.cast<const RowStore&>().id_kind() == IdKind::string;
  return find_rows(self, IdList::from_python(ids, strings), ids);
}

// The arrays are made while the table's lines come.
py::tuple store_decode(const py::object& self, const ColumnDecoder& columns,
                       const py::object& ids) {
  static constexpr std::size_t kFetchedPerArray = 32;
  const auto& store = self.cast<const RowStore&>();
  const bool strings = store.id_kind() == IdKind::string;
  const IdList list = IdList::from_python(ids, strings);
  const std::size_t n = count_of(list, strings);
  std::size_t fetched = 0;
  py::dict arrays = columns.new_dict();
  const auto outputs = columns.add_arrays(n, arrays, [&] {
    const std::size_t more = std::min(kFetchedPerArray, n - fetched);
    with_ids(list, strings, [&](auto typed) { store.fetch_ahead(typed.subspan(fetched, more)); });
    fetched += more;
  });
  const RowBatch batch = find_rows(self, list, ids);
  batch.decode(columns.decoder, batch.views, {}, outputs);
  return py::make_tuple(std::move(arrays), batch.found());
}

py::list store_get(const py::object& self, const py::object& ids) {
  const RowBatch batch = store_find(self, ids);
  py::list out(batch.views.size());
  for (std::size_t i = 0; i < batch.views.size(); ++i) {
    const RowView row = batch.views[i];
    out[i] = row.data == nullptr ? py::object(py::none())
                                 : py::bytes(reinterpret_cast<const char*>(row.data), row.size);
  }
  return out;
}

std::unique_ptr<RowStore> open_store(const std::string& path, const ColumnDecoder& columns,
                                     bool strings, bool verify, bool huge_pages) {
  const RowTag tag = columns.decoder.schema().tag();
  const py::gil_scoped_release nogil;  // verifying or copying reads the whole file
  return std::make_unique<RowStore>(path, tag, strings ? IdKind::string : IdKind::int64, verify,
                                    huge_pages ? Residence::huge_pages : Residence::mapped);
}

py::object store_ids(const RowStore& store) {
  if (store.id_kind() == IdKind::int64) return as_array(store.int64_ids());
  py::list out;
  for (const std::string_view id : store.string_ids()) out.append(id_text(id));
  return out;
}

void write_store(const std::string& path, const ColumnDecoder& columns, bool strings,
                 const py::object& ids, const ByteArray& buffer, const OffsetArray& offsets) {
  const IdList list = IdList::from_python(ids, strings);
  check_packed(buffer, offsets);
  const std::size_t n = count_of(list, strings);
  if (n + 1 != static_cast<std::size_t>(offsets.size()))
    throw InvalidInput("there are " + std::to_string(n) + " ids, but " +
                       std::to_string(offsets.size() - 1) + " rows");
  const RowTag tag = columns.decoder.schema().tag();
  const std::span rows(buffer.data(), static_cast<std::size_t>(buffer.size()));
  const std::span ends(offsets.data(), static_cast<std::size_t>(offsets.size()));
  const py::gil_scoped_release nogil;
  if (strings)
    write_row_store(path, tag, list.strings, rows, ends);
  else
    write_row_store(path, tag, list.numbers, rows, ends);
}

}  // namespace

void register_rows(py::module_& module) {
  register_errors(module);
  py::class_<ColumnDecoder>(module, "RowSchema")
      .def(py::init(&make_schema), py::arg("columns"), py::arg("tag"), py::kw_only(),
           py::arg("level") = py::none())
      .def("encode", &encode, py::arg("columns"))
      .def("decode", &decode_sequence, py::arg("rows"), py::arg("ids") = py::none())
      .def(
          "decode_batch",
          [](const ColumnDecoder& columns, const RowBatch& batch) {
            return batch.columns(columns);
          },
          py::arg("batch"))
      .def("decode_packed", &decode_packed, py::arg("buffer"), py::arg("offsets"),
           py::arg("ids") = py::none());
  py::class_<RowBatch>(module, "RowBatch")
      .def(py::init(&RowBatch::from_sequence), py::arg("rows"), py::arg("ids") = py::none())
      .def("__len__", [](const RowBatch& batch) { return batch.views.size(); })
      .def_property_readonly("count", &RowBatch::count)
      .def_property_readonly("found", &RowBatch::found);
  py::class_<RowInputs>(module, "RowInputs")
      .def(py::init([](const ColumnDecoder& user, const ColumnDecoder& item,
                       const std::vector<RowInputs::Input>& inputs) {
             return std::make_unique<RowInputs>(user.decoder.schema(), item.decoder.schema(),
                                                inputs);
           }),
           py::arg("user"), py::arg("item"), py::arg("inputs"))
      .def("build", &RowInputs::build, py::arg("user"), py::arg("items"));
  py::class_<RowStore>(module, "RowStore")
      .def(py::init(&open_store), py::arg("path"), py::arg("schema"), py::arg("string_ids"),
           py::arg("verify") = false, py::arg("huge_pages") = false)
      .def("__len__", &RowStore::size)
      .def("ids", &store_ids)
      .def("find", &store_find, py::arg("ids"))
      .def("decode", &store_decode, py::arg("schema"), py::arg("ids"))
      .def("get", &store_get, py::arg("ids"));
  module.def("write_row_store", &write_store, py::arg("path"), py::arg("schema"),
             py::arg("string_ids"), py::arg("ids"), py::arg("buffer"), py::arg("offsets"));
}
