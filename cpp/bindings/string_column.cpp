#include "string_column.hpp"

#include <array>
#include <memory>

#include "arrow_abi.hpp"

namespace py = pybind11;
using friesian::StringValues;

namespace {

using SharedStrings = std::shared_ptr<const StringValues>;

// What an exported array owns: its buffer list, and a share in the strings, so that they outlive
// the Python object if the consumer does.
struct ExportedStrings {
  SharedStrings strings;
  std::array<const void*, 3> buffers;
};

void release_schema(ArrowSchema* schema) { schema->release = nullptr; }

void release_array(ArrowArray* array) {
  delete static_cast<ExportedStrings*>(array->private_data);
  array->release = nullptr;
}

template <typename Struct>
py::capsule capsule_of(std::unique_ptr<Struct> value, const char* name) {
  return py::capsule(value.release(), name, [](PyObject* object) {
    auto* owned = static_cast<Struct*>(PyCapsule_GetPointer(object, PyCapsule_GetName(object)));
    if (owned->release != nullptr) owned->release(owned);  // null once a consumer has taken it over
    delete owned;
  });
}

class PyStringValues {
 public:
  explicit PyStringValues(StringValues values)
      : strings_(std::make_shared<const StringValues>(std::move(values))) {}

  [[nodiscard]] std::size_t size() const { return strings_->size(); }

  // A consumer may ask for another type; the protocol lets a producer ignore that.
  [[nodiscard]] py::tuple export_array(const py::object&) const {
    auto schema = std::make_unique<ArrowSchema>();
    schema->format = strings_->is_large() ? "U" : "u";
    schema->name = "";
    schema->release = release_schema;
    auto array = std::make_unique<ArrowArray>();
    const void* offsets = strings_->is_large()
                              ? static_cast<const void*>(strings_->large_offsets.data())
                              : strings_->offsets.data();
    auto* exported = new ExportedStrings{strings_, {nullptr, offsets, strings_->bytes.data()}};
    array->length = static_cast<std::int64_t>(size());
    array->n_buffers = 3;
    array->buffers = exported->buffers.data();
    array->release = release_array;
    array->private_data = exported;
    return py::make_tuple(capsule_of(std::move(schema), "arrow_schema"),
                          capsule_of(std::move(array), "arrow_array"));
  }

  [[nodiscard]] py::list to_list() const {
    py::list list(size());
    for (std::size_t i = 0; i < size(); ++i) {
      const std::int64_t begin = offset(i);
      const auto* bytes = reinterpret_cast<const char*>(strings_->bytes.data());
      list[i] = py::str(bytes + begin, static_cast<std::size_t>(offset(i + 1) - begin));
    }
    return list;
  }

 private:
  [[nodiscard]] std::int64_t offset(std::size_t i) const {
    return strings_->is_large() ? strings_->large_offsets[i] : strings_->offsets[i];
  }

  SharedStrings strings_;
};

}  // namespace

void register_string_values(py::module_& module) {
  py::class_<PyStringValues>(module, "StringValues", "Strings, exported as an Arrow array.")
      .def("__len__", &PyStringValues::size)
      .def("__arrow_c_array__", &PyStringValues::export_array,
           py::arg("requested_schema") = py::none())
      .def("to_list", &PyStringValues::to_list, "A list of str.");
}

py::object string_values_to_python(StringValues values) {
  return py::cast(PyStringValues(std::move(values)));
}
