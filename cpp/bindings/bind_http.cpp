#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <variant>

#include "bindings.hpp"
#include "http/plain_request.hpp"

namespace py = pybind11;

namespace {

using User = std::variant<std::int64_t, std::string_view>;
using Found = std::tuple<User, int, std::optional<int>>;

// The GIL stays: a request takes less time than letting go of it.
std::optional<Found> plain_request(const py::bytes& data, bool numbered) {
  const std::optional<friesian::PlainRequest> request =
      friesian::plain_request(static_cast<std::string_view>(data), numbered);
  if (!request) return std::nullopt;
  return Found{numbered ? User(request->number) : User(request->user), request->k,
               request->candidates};
}

}  // namespace

void register_http(py::module_& module) {
  module.def("plain_request", &plain_request, py::arg("data"), py::arg("numbered"));
}
