#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "arrow_abi.hpp"
#include "common/column.hpp"

// A column as Python gave it: one chunk, or several from a stream. It borrows the buffers and holds
// their owners; build and destroy it with the GIL.
class PyColumn {
 public:
  // From a NumPy array or anything that exports __arrow_c_array__ or __arrow_c_stream__. Errors
  // name the argument `name`: TypeError for what it is, ValueError for its shape.
  static PyColumn from_python(const pybind11::object& object, const std::string& name);

  // The same; TypeError unless the values are strings.
  static PyColumn strings_from_python(const pybind11::object& object, const std::string& name);

  [[nodiscard]] std::span<const friesian::Column> chunks() const { return chunks_; }
  [[nodiscard]] std::size_t length() const;

 private:
  struct OwnedStrings {
    std::vector<std::uint8_t> bytes;
    std::vector<std::int64_t> offsets{0};
  };

  void read_numpy(const pybind11::array& array, const std::string& name);
  void read_numpy_text(const pybind11::array& array, const std::string& name);
  void read_arrow_array(const pybind11::object& object, const std::string& name);
  void read_arrow_stream(const pybind11::object& object, const std::string& name);

  std::vector<pybind11::object> owners_;
  std::vector<std::shared_ptr<ArrowArray>> arrays_;
  std::vector<OwnedStrings> texts_;
  std::vector<friesian::Column> chunks_;
};
