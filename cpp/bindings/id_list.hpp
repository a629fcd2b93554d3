#pragma once
#include <pybind11/numpy.h>

#include <optional>
#include <span>
#include <string_view>
#include <vector>

// Ids as Python gives them: an int64 array, or a sequence of str. Borrowed; `owner` keeps them.
struct IdList {
  pybind11::object owner;
  std::span<const std::int64_t> numbers;
  std::vector<std::string_view> strings;

  // Throws TypeError when they are not the kind asked for.
  static IdList from_python(const pybind11::object& ids, bool strings);
};

// A string id that was read from a file; throws InvalidInput when it is not UTF-8.
pybind11::str id_text(std::string_view id);
