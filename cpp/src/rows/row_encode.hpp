#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "rows/row_schema.hpp"

namespace friesian {

// One column of n rows, borrowed. Row i has the elements [begin(i), end(i)) of `values`: from the
// offsets when there are any, else `step` elements each.
struct ColumnInput {
  const unsigned char* values = nullptr;
  const std::uint8_t* validity = nullptr;  // Arrow's bitmap; null when no row is
  std::int64_t validity_offset = 0;
  const std::int32_t* offsets32 = nullptr;
  const std::int64_t* offsets64 = nullptr;
  std::int64_t step = 1;

  [[nodiscard]] bool valid(std::int64_t row) const noexcept {
    const std::int64_t bit = validity_offset + row;
    return validity == nullptr || ((validity[bit / 8] >> (bit % 8)) & 1) != 0;
  }
  [[nodiscard]] std::int64_t begin(std::int64_t row) const noexcept {
    return offsets32 != nullptr   ? offsets32[row]
           : offsets64 != nullptr ? offsets64[row]
                                  : row * step;
  }
  [[nodiscard]] std::int64_t count(std::int64_t row) const noexcept {
    return valid(row) ? begin(row + 1) - begin(row) : 0;
  }
};

// Packed rows, one after another: row i is bytes [offsets[i], offsets[i + 1]).
struct PackedRows {
  std::vector<unsigned char> buffer;
  std::vector<std::int64_t> offsets;
};

// Packs n rows of schema.columns().size() inputs. Throws InvalidInput, naming column and row, when
// a list is longer than its column allows or a fixed column's row has another length.
[[nodiscard]] PackedRows encode_rows(const RowSchema& schema, std::span<const ColumnInput> columns,
                                     std::int64_t n);

}  // namespace friesian
