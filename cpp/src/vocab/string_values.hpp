#pragma once
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "common/column.hpp"

namespace friesian {

// Strings in Arrow's layout, with 32-bit offsets where they suffice, else `large_offsets`.
struct StringValues {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> offsets;
  std::vector<std::int64_t> large_offsets;

  // Ready for `count` strings of `total` bytes together.
  StringValues(std::size_t count, std::size_t total) {
    bytes.reserve(total);
    if (total > std::numeric_limits<std::int32_t>::max()) {
      large_offsets.reserve(count + 1);
      large_offsets.push_back(0);
    } else {
      offsets.reserve(count + 1);
      offsets.push_back(0);
    }
  }

  void append(std::string_view text) {
    bytes.insert(bytes.end(), text.begin(), text.end());
    if (is_large())
      large_offsets.push_back(static_cast<std::int64_t>(bytes.size()));
    else
      offsets.push_back(static_cast<std::int32_t>(bytes.size()));
  }

  [[nodiscard]] bool is_large() const noexcept { return !large_offsets.empty(); }
  [[nodiscard]] std::size_t size() const noexcept {
    return (is_large() ? large_offsets.size() : offsets.size()) - 1;
  }
};

struct CountedStrings {
  StringValues values;
  std::vector<std::int64_t> counts;
};

// As a borrowed column.
[[nodiscard]] inline Column column_of(const StringValues& values) {
  Column column;
  column.type = values.is_large() ? ColumnType::large_string : ColumnType::string;
  column.values = values.bytes.data();
  column.offsets = values.is_large() ? static_cast<const void*>(values.large_offsets.data())
                                     : values.offsets.data();
  column.length = values.size();
  return column;
}

}  // namespace friesian
