#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace friesian {

enum class ElementType : std::uint8_t { int32, int64, float32, float64 };
enum class ColumnKind : std::uint8_t { scalar, fixed, list };

[[nodiscard]] constexpr std::uint32_t element_bytes(ElementType type) noexcept {
  return type == ElementType::int32 || type == ElementType::float32 ? 4 : 8;
}

// One column of a row; `length` is 1 for a scalar and the most elements a list may hold.
struct ColumnSpec {
  std::string name;
  ElementType type;
  ColumnKind kind;
  std::uint32_t length;
};

using RowTag = std::array<unsigned char, 8>;

inline constexpr std::uint32_t kRowVersion = 3;
inline constexpr std::uint32_t kRowHeaderBytes = 16;
inline constexpr std::uint32_t kRowLengthOffset = 12;
inline constexpr std::uint32_t kRowAlignment = 8;

// Where everything stands in a packed row of version 3; decision 0001 defines the bytes.
class RowSchema {
 public:
  // A part of the row that stands at the same place in every row.
  struct Field {
    std::uint32_t column;
    std::uint32_t offset;
    std::uint32_t bytes;
  };

  // Throws InvalidInput when the columns are too many or too long for a row's 32-bit length.
  RowSchema(std::vector<ColumnSpec> columns, RowTag tag);

  [[nodiscard]] const std::vector<ColumnSpec>& columns() const noexcept { return columns_; }
  [[nodiscard]] const RowTag& tag() const noexcept { return tag_; }
  [[nodiscard]] std::uint32_t counts_offset() const noexcept { return counts_offset_; }
  // Where the list payloads begin.
  [[nodiscard]] std::uint32_t fixed_end() const noexcept { return fixed_end_; }
  // What a row takes whose lists are full.
  [[nodiscard]] std::uint64_t longest() const noexcept { return longest_; }
  // Scalars of 8 bytes, scalars of 4 bytes, fixed columns, each in row order.
  [[nodiscard]] const std::vector<Field>& scalars8() const noexcept { return scalars8_; }
  [[nodiscard]] const std::vector<Field>& scalars4() const noexcept { return scalars4_; }
  [[nodiscard]] const std::vector<Field>& blocks() const noexcept { return blocks_; }
  // Column numbers of the lists, in the order of their counts.
  [[nodiscard]] const std::vector<std::uint32_t>& lists() const noexcept { return lists_; }
  // Bytes that one row of this column takes when decoded.
  [[nodiscard]] std::size_t decoded_bytes(std::size_t column) const noexcept {
    return std::size_t{columns_[column].length} * element_bytes(columns_[column].type);
  }

 private:
  std::uint64_t place(std::uint32_t element_size, std::uint64_t offset);

  std::vector<ColumnSpec> columns_;
  RowTag tag_;
  std::uint32_t counts_offset_ = 0;
  std::uint32_t fixed_end_ = 0;
  std::uint64_t longest_ = 0;
  std::vector<Field> scalars8_, scalars4_, blocks_;
  std::vector<std::uint32_t> lists_;
};

}  // namespace friesian
