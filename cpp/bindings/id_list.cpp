#include "id_list.hpp"

#include <string>

#include "common/error.hpp"

namespace py = pybind11;

namespace {

[[noreturn]] void reject(const char* wanted, const py::handle& got) {
  throw py::type_error("ids must be " + std::string(wanted) + ", got " +
                       std::string(py::str(py::type::of(got).attr("__name__"))));
}

}  // namespace

IdList IdList::from_python(const py::object& ids, bool strings) {
  IdList out;
  if (!strings) {
    if (!py::isinstance<py::array>(ids)) reject("an int64 array", ids);
    const auto array = py::reinterpret_borrow<py::array>(ids);
    if (!array.dtype().equal(py::dtype::of<std::int64_t>()) || array.ndim() != 1 ||
        (array.flags() & py::array::c_style) == 0)
      throw py::type_error("ids must be a 1-D, C-contiguous int64 array, got " +
                           std::to_string(array.ndim()) + "-D " +
                           std::string(py::str(array.dtype())));
    out.owner = array;
    out.numbers = {static_cast<const std::int64_t*>(array.data()),
                   static_cast<std::size_t>(array.size())};
    return out;
  }
  if (py::isinstance<py::str>(ids) || py::isinstance<py::bytes>(ids) ||
      !py::isinstance<py::sequence>(ids))
    reject("a sequence of str", ids);
  const py::tuple all(ids);  // a tuple of our own: nobody can take an id away while it is read
  out.owner = all;
  out.strings.reserve(all.size());
  for (const py::handle id : all) {
    if (!PyUnicode_Check(id.ptr())) reject("a sequence of str", id);
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(id.ptr(), &size);
    if (text == nullptr) {
      PyErr_Clear();
      throw friesian::InvalidInput("id " + std::string(py::repr(id)) +
                                   " holds half of a surrogate pair, which UTF-8 cannot encode");
    }
    out.strings.emplace_back(text, static_cast<std::size_t>(size));
  }
  return out;
}

py::str id_text(std::string_view id) {
  PyObject* text = PyUnicode_DecodeUTF8(id.data(), static_cast<Py_ssize_t>(id.size()), nullptr);
  if (text != nullptr) return py::reinterpret_steal<py::str>(text);
  PyErr_Clear();
  throw friesian::InvalidInput("a string id in the file is not UTF-8; the file was altered");
}
