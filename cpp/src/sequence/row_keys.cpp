#include "sequence/row_keys.hpp"

#include <algorithm>
#include <bit>

#include "common/bytes.hpp"
#include "common/bytes_hash.hpp"

namespace friesian {

namespace {

constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15;
constexpr std::uint64_t kNull = 0xA0761D6478BD642F;

// The key comes mixed already, so the order of columns and of elements counts.
constexpr std::uint64_t mixed(std::uint64_t key, std::uint64_t value) noexcept {
  return mix64((key ^ value) + kStep);
}

template <typename Value>
void mix_values(const Column& column, std::span<std::uint64_t> keys, const Value& value) noexcept {
  for (std::size_t row = 0; row < column.length; ++row)
    keys[row] = column.is_null(row) ? mixed(~keys[row], kNull) : mixed(keys[row], value(row));
}

template <typename T>
void mix_integers(const Column& column, std::span<std::uint64_t> keys) noexcept {
  const auto* at = static_cast<const T*>(column.values) + column.offset;
  mix_values(column, keys, [at](std::size_t row) {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(at[row]));
  });
}

template <typename Offset>
void mix_strings(const Column& column, std::span<std::uint64_t> keys) noexcept {
  const auto* bytes = static_cast<const char*>(column.values);
  const auto* ends = static_cast<const Offset*>(column.offsets) + column.offset;
  mix_values(column, keys, [bytes, ends](std::size_t row) {
    const auto size = static_cast<std::size_t>(ends[row + 1] - ends[row]);
    return hash_bytes(size == 0 ? "" : bytes + ends[row], size);
  });
}

void mix_bits(const Column& column, std::span<std::uint64_t> keys) noexcept {
  const auto* bits = static_cast<const std::uint8_t*>(column.values);
  mix_values(column, keys, [bits, first = column.offset](std::size_t row) {
    return std::uint64_t{(bits[(first + row) / 8] >> ((first + row) % 8)) & 1u};
  });
}

void mix_floats(const Column& column, std::span<std::uint64_t> keys) noexcept {
  const auto* at = static_cast<const double*>(column.values) + column.offset;
  mix_values(column, keys, [at](std::size_t row) { return std::bit_cast<std::uint64_t>(at[row]); });
}

}  // namespace

void mix_column(const Column& column, std::span<std::uint64_t> keys) noexcept {
  switch (column.type) {
    case ColumnType::int8:
      return mix_integers<std::int8_t>(column, keys);
    case ColumnType::int16:
      return mix_integers<std::int16_t>(column, keys);
    case ColumnType::int32:
      return mix_integers<std::int32_t>(column, keys);
    case ColumnType::int64:
      return mix_integers<std::int64_t>(column, keys);
    case ColumnType::uint8:
    case ColumnType::byte_boolean:
      return mix_integers<std::uint8_t>(column, keys);
    case ColumnType::uint16:
      return mix_integers<std::uint16_t>(column, keys);
    case ColumnType::uint32:
      return mix_integers<std::uint32_t>(column, keys);
    case ColumnType::uint64:
      return mix_integers<std::uint64_t>(column, keys);
    case ColumnType::boolean:
      return mix_bits(column, keys);
    case ColumnType::float64:
      return mix_floats(column, keys);
    case ColumnType::string:
      return mix_strings<std::int32_t>(column, keys);
    case ColumnType::large_string:
      return mix_strings<std::int64_t>(column, keys);
  }
}

void mix_lists(std::span<const std::uint64_t> elements, std::span<const std::int64_t> starts,
               std::span<const std::int64_t> lengths, std::span<std::uint64_t> keys) noexcept {
  for (std::size_t row = 0; row < keys.size(); ++row) {
    if (lengths[row] < 0) {
      keys[row] = mixed(~keys[row], kNull);
      continue;
    }
    const auto list = elements.subspan(static_cast<std::size_t>(starts[row]),
                                       static_cast<std::size_t>(lengths[row]));
    std::uint64_t key = mixed(keys[row], list.size());
    for (const std::uint64_t element : list) key = mixed(key, element);
    keys[row] = key;
  }
}

}  // namespace friesian
