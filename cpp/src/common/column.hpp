#pragma once
#include <cstddef>
#include <cstdint>

namespace friesian {

// What one value of a column is. `boolean` is one bit a row (Arrow), `byte_boolean` one byte
// (NumPy); `string` has 32-bit offsets, `large_string` 64-bit ones.
enum class ColumnType {
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  boolean,
  byte_boolean,
  float64,
  string,
  large_string
};

// A borrowed column in Arrow's layout. Row i is at index `offset + i` of every buffer.
struct Column {
  ColumnType type = ColumnType::string;
  const void* values = nullptr;   // the numbers, or the bytes that `offsets` cuts into strings
  const void* offsets = nullptr;  // strings only
  const std::uint8_t* validity =
      nullptr;  // one bit a row, 0 is null; absent when there are no nulls
  std::size_t offset = 0;
  std::size_t length = 0;

  [[nodiscard]] bool is_string() const noexcept {
    return type == ColumnType::string || type == ColumnType::large_string;
  }

  [[nodiscard]] bool is_null(std::size_t row) const noexcept {
    const std::size_t bit = offset + row;
    return validity != nullptr && ((validity[bit >> 3] >> (bit & 7)) & 1) == 0;
  }

  [[nodiscard]] Column slice(std::size_t begin, std::size_t rows) const noexcept {
    Column part = *this;
    part.offset = offset + begin;
    part.length = rows;
    return part;
  }
};

}  // namespace friesian
