#include "common/json_array.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace friesian {

namespace {

// The longest float has 15 characters, the longest integer 20; ".0" and ", " come on top.
constexpr std::size_t kMostCharacters = 24;

char* put(char* cursor, const char* text, std::size_t count) noexcept {
  std::memcpy(cursor, text, count);
  return cursor + count;
}

char* write(char* cursor, std::int64_t value) noexcept {
  return std::to_chars(cursor, cursor + kMostCharacters, value).ptr;
}

char* write(char* cursor, float value) noexcept {
  if (!std::isfinite(value)) return put(cursor, "null", 4);
  char* const end = std::to_chars(cursor, cursor + kMostCharacters, value).ptr;
  const bool whole = std::none_of(cursor, end, [](char c) { return c == '.' || c == 'e'; });
  return whole ? put(end, ".0", 2) : end;
}

template <typename Number>
std::string written(std::span<const Number> values) {
  std::string text(values.size() * (kMostCharacters + 2) + 2, '\0');
  char* cursor = text.data();
  *cursor++ = '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) cursor = put(cursor, ", ", 2);
    cursor = write(cursor, values[i]);
  }
  *cursor++ = ']';
  text.resize(static_cast<std::size_t>(cursor - text.data()));
  return text;
}

}  // namespace

std::string json_array(std::span<const float> values) { return written(values); }
std::string json_array(std::span<const std::int64_t> values) { return written(values); }

}  // namespace friesian
