#include "errors.hpp"

#include <string>
#include <system_error>

#include "common/error.hpp"

namespace py = pybind11;

namespace {

// Imported when there is something to say, so that the extension can be loaded on its own.
void set_error(const char* name, const char* message) {
  const py::object type = py::module_::import("friesian_fast.errors").attr(name);
  PyErr_SetString(type.ptr(), message);
}

void set_os_error(const std::system_error& error) {
  const py::object arguments =
      py::make_tuple(error.code().value(), error.code().message(), error.what());
  PyErr_SetObject(PyExc_OSError, arguments.ptr());
}

}  // namespace

void raise_error(const char* name, const std::string& message) {
  set_error(name, message.c_str());
  throw py::error_already_set();
}

void register_errors(py::module_&) {
  py::register_local_exception_translator([](std::exception_ptr pending) {
    try {
      std::rethrow_exception(pending);
    } catch (const friesian::InvalidInput& error) {
      set_error("InvalidInputError", error.what());
    } catch (const friesian::SchemaMismatch& error) {
      set_error("SchemaMismatchError", error.what());
    } catch (const std::system_error& error) {
      set_os_error(error);
    }
  });
}
