#include "decoded_rows.hpp"

#include <string>

#include "errors.hpp"

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

}  // namespace

DecodedRows::DecodedRows(const RowSchema& schema, std::size_t n)
    : found(static_cast<py::ssize_t>(n)) {
  for (const auto& column : schema.columns()) {
    std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(n)};
    if (column.kind != ColumnKind::scalar) shape.push_back(column.length);
    py::array array(dtype_of(column.type), shape);
    pointers.push_back(array.mutable_data());
    columns.append(std::move(array));
  }
}

DecodeOutputs DecodedRows::outputs() {
  return {pointers, reinterpret_cast<unsigned char*>(found.mutable_data())};
}

py::tuple DecodedRows::result() const { return py::make_tuple(columns, found); }

void raise_fault(const RowFault& fault, const py::object& ids) {
  std::string text = "row " + std::to_string(fault.position);
  if (!ids.is_none() && fault.position < py::len(ids))
    text += " (id " + std::string(py::str(ids[py::int_(fault.position)])) + ")";
  raise_error(fault.other_schema ? "SchemaMismatchError" : "InvalidInputError",
              text + ": " + fault.what());
}
