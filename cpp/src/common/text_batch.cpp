#include "common/text_batch.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>

namespace friesian {

namespace {

alignas(kReadable) constexpr std::uint8_t kNone[kReadable] = {'N', 'o', 'n', 'e'};
constexpr std::uint32_t kNoneLength = 4;

template <typename T>
const T* values_of(const Column& column, std::size_t begin) {
  return static_cast<const T*>(column.values) + column.offset + begin;
}

bool bit_of(const Column& column, std::size_t row) {
  const std::size_t bit = column.offset + row;
  return ((static_cast<const std::uint8_t*>(column.values)[bit >> 3] >> (bit & 7)) & 1) != 0;
}

}  // namespace

template <typename Offset>
void TextBatch::read_strings(const Column& column, std::size_t begin, std::size_t rows) {
  const auto* data = static_cast<const std::uint8_t*>(column.values);
  const auto* offsets = static_cast<const Offset*>(column.offsets) + column.offset;
  const auto end = static_cast<std::size_t>(offsets[column.length]);
  offsets += begin;
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto length = static_cast<std::uint64_t>(offsets[i + 1] - offsets[i]);
    bytes[i] = data + offsets[i];
    lengths[i] = static_cast<std::uint32_t>(length);
    all |= length;
  }
  if (all > std::numeric_limits<std::uint32_t>::max())
    throw std::invalid_argument("a string is longer than 4 GiB, or the string offsets decrease");
  for (std::size_t i = rows; i > 0; --i) {
    const auto from = static_cast<std::size_t>(offsets[i - 1]);
    if (from + kReadable <= end) break;
    if (lengths[i - 1] >= kReadable) continue;
    if (lengths[i - 1] != 0) std::memcpy(cell(i - 1), bytes[i - 1], lengths[i - 1]);
    bytes[i - 1] = cell(i - 1);
  }
}

template <typename Write>
void TextBatch::read_numbers(std::size_t rows, const Write& write) {
  for (std::size_t i = 0; i < rows; ++i) {
    const NumberText out(reinterpret_cast<char*>(cell(i)), kNumberTextSize);
    lengths[i] = static_cast<std::uint32_t>(write(i, out));
    bytes[i] = cell(i);
  }
}

void TextBatch::read_values(const Column& column, std::size_t begin, std::size_t rows,
                            TextStyle style) {
  const auto integers = [&]<typename T>(std::type_identity<T>) {
    using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
    const T* values = values_of<T>(column, begin);
    read_numbers(rows, [values](std::size_t i, NumberText out) {
      return write_integer(static_cast<Wide>(values[i]), out);
    });
  };
  switch (column.type) {
    case ColumnType::int8:
      return integers(std::type_identity<std::int8_t>{});
    case ColumnType::int16:
      return integers(std::type_identity<std::int16_t>{});
    case ColumnType::int32:
      return integers(std::type_identity<std::int32_t>{});
    case ColumnType::int64:
      return integers(std::type_identity<std::int64_t>{});
    case ColumnType::uint8:
      return integers(std::type_identity<std::uint8_t>{});
    case ColumnType::uint16:
      return integers(std::type_identity<std::uint16_t>{});
    case ColumnType::uint32:
      return integers(std::type_identity<std::uint32_t>{});
    case ColumnType::uint64:
      return integers(std::type_identity<std::uint64_t>{});
    case ColumnType::boolean:
      return read_numbers(rows, [&](std::size_t i, NumberText out) {
        return write_boolean(bit_of(column, begin + i), style, out);
      });
    case ColumnType::byte_boolean:
      return read_numbers(rows, [&](std::size_t i, NumberText out) {
        return write_boolean(values_of<std::uint8_t>(column, begin)[i] != 0, style, out);
      });
    case ColumnType::float64:
      return read_numbers(rows, [&](std::size_t i, NumberText out) {
        return write_double(values_of<double>(column, begin)[i], style, out);
      });
    case ColumnType::string:
      return read_strings<std::int32_t>(column, begin, rows);
    case ColumnType::large_string:
      return read_strings<std::int64_t>(column, begin, rows);
  }
}

void TextBatch::mark_nulls(const Column& column, std::size_t begin, std::size_t rows) {
  has_nulls = false;
  if (column.validity == nullptr) return;
  for (std::size_t i = 0; i < rows; ++i) {
    nulls[i] = column.is_null(begin + i);
    if (!nulls[i]) continue;
    has_nulls = true;
    bytes[i] = kNone;
    lengths[i] = kNoneLength;
  }
}

void TextBatch::measure(std::size_t rows) {
  longest = 0;
  total = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    longest = std::max(longest, lengths[i]);
    total += lengths[i];
  }
}

void TextBatch::read(const Column& column, std::size_t begin, std::size_t rows, TextStyle style) {
  assert(rows <= kRows && begin + rows <= column.length);
  read_values(column, begin, rows, style);
  mark_nulls(column, begin, rows);
  measure(rows);
}

}  // namespace friesian
