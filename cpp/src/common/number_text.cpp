#include "common/number_text.hpp"

#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>

namespace friesian {

namespace {

std::size_t write_text(std::string_view text, NumberText out) noexcept {
  std::memcpy(out.data(), text.data(), text.size());
  return text.size();
}

template <typename Integer>
std::size_t write_decimal(Integer value, NumberText out) noexcept {
  const auto end = std::to_chars(out.data(), out.data() + out.size(), value).ptr;
  return static_cast<std::size_t>(end - out.data());
}

// A positive finite double as 0.d1d2d3... * 10^point, with the fewest digits that read back as it.
struct Digits {
  char text[17];
  int count = 0;
  int point = 0;
};

void read_scientific(const char* begin, const char* end, Digits& digits) noexcept {
  const char* cursor = begin;
  for (; cursor != end && *cursor != 'e'; ++cursor)
    if (*cursor != '.') digits.text[digits.count++] = *cursor;
  ++cursor;
  if (*cursor == '+') ++cursor;
  int exponent = 0;
  std::from_chars(cursor, end, exponent);
  digits.point = exponent + 1;
}

Digits shortest_digits(double value, TextStyle style) noexcept {
  char text[kNumberTextSize];
  Digits digits;
  auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  read_scientific(text, end, digits);
  if (style == TextStyle::spark && digits.count == 1) {
    // Java takes the nearest decimal of two digits where one would do: 4.9E-324, not 5E-324.
    digits.count = 0;
    end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific, 1).ptr;
    read_scientific(text, end, digits);
    if (digits.text[1] == '0') digits.count = 1;
  }
  return digits;
}

char* put(char* cursor, const char* text, int count) noexcept {
  std::memcpy(cursor, text, static_cast<std::size_t>(count));
  return cursor + count;
}

char* put_zeros(char* cursor, int count) noexcept {
  std::memset(cursor, '0', static_cast<std::size_t>(count));
  return cursor + count;
}

char* write_fixed(const Digits& digits, char* cursor) noexcept {
  if (digits.point <= 0) {
    cursor = put_zeros(put(cursor, "0.", 2), -digits.point);
    return put(cursor, digits.text, digits.count);
  }
  if (digits.count <= digits.point) {
    cursor = put_zeros(put(cursor, digits.text, digits.count), digits.point - digits.count);
    return put(cursor, ".0", 2);
  }
  cursor = put(put(cursor, digits.text, digits.point), ".", 1);
  return put(cursor, digits.text + digits.point, digits.count - digits.point);
}

// 1e-05 and 1.5e+16 in Python; 1.0E-5 and 1.5E16 in Java.
char* write_exponent(const Digits& digits, TextStyle style, char* cursor, char* end) noexcept {
  const bool python = style == TextStyle::python;
  *cursor++ = digits.text[0];
  if (digits.count > 1)
    cursor = put(put(cursor, ".", 1), digits.text + 1, digits.count - 1);
  else if (!python)
    cursor = put(cursor, ".0", 2);
  *cursor++ = python ? 'e' : 'E';
  const int exponent = digits.point - 1;
  if (exponent < 0)
    *cursor++ = '-';
  else if (python)
    *cursor++ = '+';
  const int size = exponent < 0 ? -exponent : exponent;
  if (python && size < 10) *cursor++ = '0';
  return std::to_chars(cursor, end, size).ptr;
}

}  // namespace

std::size_t write_integer(std::int64_t value, NumberText out) noexcept {
  return write_decimal(value, out);
}

std::size_t write_integer(std::uint64_t value, NumberText out) noexcept {
  return write_decimal(value, out);
}

std::size_t write_boolean(bool value, TextStyle style, NumberText out) noexcept {
  if (style == TextStyle::python) return write_text(value ? "True" : "False", out);
  return write_text(value ? "true" : "false", out);
}

std::size_t write_double(double value, TextStyle style, NumberText out) noexcept {
  const bool python = style == TextStyle::python;
  if (std::isnan(value)) return write_text(python ? "nan" : "NaN", out);
  char* cursor = out.data();
  if (std::signbit(value)) *cursor++ = '-';
  const auto sign = static_cast<std::size_t>(cursor - out.data());
  const auto rest = [&](std::string_view text) {
    std::memcpy(cursor, text.data(), text.size());
    return sign + text.size();
  };
  if (std::isinf(value)) return rest(python ? "inf" : "Infinity");
  if (value == 0) return rest("0.0");
  const Digits digits = shortest_digits(std::fabs(value), style);
  const bool fixed =
      python ? digits.point > -4 && digits.point <= 16 : digits.point > -3 && digits.point <= 7;
  cursor = fixed ? write_fixed(digits, cursor)
                 : write_exponent(digits, style, cursor, out.data() + out.size());
  return static_cast<std::size_t>(cursor - out.data());
}

}  // namespace friesian
