#include <pybind11/stl.h>

#include <optional>
#include <string_view>
#include <tuple>

#include "bindings.hpp"
#include "http/plain_request.hpp"

namespace py = pybind11;

namespace {

using Found = std::tuple<std::string_view, int, std::optional<int>>;

// The GIL stays: a request takes less time than letting go of it.
std::optional<Found> plain_request(const py::bytes& data) {
  const std::optional<friesian::PlainRequest> request =
      friesian::plain_request(static_cast<std::string_view>(data));
  if (!request) return std::nullopt;
  return Found{request->user, request->k, request->candidates};
}

}  // namespace

void register_http(py::module_& module) {
  module.def("plain_request", &plain_request, py::arg("data"));
}
