#include <pybind11/stl.h>

#include <span>
#include <vector>

#include "bindings.hpp"
#include "common/timer.hpp"

namespace py = pybind11;

namespace {

std::span<double> doubles_of(const py::buffer_info& view) {
  if (view.ndim != 1 || !view.item_type_is_equivalent_to<double>() ||
      (view.size > 1 && view.strides[0] != view.itemsize))
    throw py::type_error("timers are kept in contiguous doubles");
  return {static_cast<double*>(view.ptr), static_cast<std::size_t>(view.size)};
}

// A timer whose memory stays as long as it does.
class HeldTimer {
 public:
  HeldTimer(const std::vector<py::buffer>& slots, const py::buffer& generation)
      : views_(views_of(slots)), generation_(generation.request()), timer_(spans(), first()) {}

  void add(double seconds) { timer_.add(seconds); }
  void enter() { timer_.start(); }
  void exit(const py::args&) { timer_.stop(); }

 private:
  static std::vector<py::buffer_info> views_of(const std::vector<py::buffer>& slots) {
    std::vector<py::buffer_info> views;
    for (const py::buffer& slot : slots) views.push_back(slot.request(/*writable=*/true));
    return views;
  }

  std::vector<std::span<double>> spans() const {
    std::vector<std::span<double>> found;
    for (const py::buffer_info& view : views_) found.push_back(doubles_of(view));
    return found;
  }

  const double* first() const {
    const std::span<const double> found = doubles_of(generation_);
    if (found.empty()) throw py::value_error("generation has no number");
    return found.data();
  }

  std::vector<py::buffer_info> views_;
  py::buffer_info generation_;
  friesian::Timer timer_;
};

}  // namespace

// The GIL stays, so that what one thread adds is added before another's.
void register_timer(py::module_& module) {
  py::class_<HeldTimer>(module, "Timer")
      .def(py::init<const std::vector<py::buffer>&, const py::buffer&>(), py::arg("slots"),
           py::arg("generation"))
      .def("add", &HeldTimer::add, py::arg("seconds"))
      .def("__enter__", &HeldTimer::enter)
      .def("__exit__", &HeldTimer::exit);
}
