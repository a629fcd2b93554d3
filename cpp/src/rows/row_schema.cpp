#include "rows/row_schema.hpp"

#include <limits>

#include "common/bytes.hpp"
#include "common/error.hpp"

namespace friesian {

RowSchema::RowSchema(std::vector<ColumnSpec> columns, RowTag tag)
    : columns_(std::move(columns)), tag_(tag) {
  std::uint64_t longest = 0;
  for (std::uint32_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].length < 1)
      throw InvalidInput("column '" + columns_[i].name + "' has length 0; it must be at least 1");
    if (columns_[i].kind == ColumnKind::list) lists_.push_back(i);
    longest += decoded_bytes(i) + kRowAlignment;
  }
  const std::uint64_t counts = align_up(kRowHeaderBytes + (columns_.size() + 7) / 8, 4);
  const std::uint64_t fixed = align_up(counts + 4 * lists_.size(), 8);
  if (columns_.empty() || fixed + longest > std::numeric_limits<std::uint32_t>::max() - 8)
    throw InvalidInput("a row of " + std::to_string(columns_.size()) +
                       " columns does not fit the packed format (1 column to 4 GiB)");
  counts_offset_ = static_cast<std::uint32_t>(counts);
  fixed_end_ = static_cast<std::uint32_t>(place(4, place(8, fixed)));
  longest_ = fixed_end_;
  for (const std::uint32_t i : lists_)
    longest_ = align_up(longest_, element_bytes(columns_[i].type)) + decoded_bytes(i);
  longest_ = align_up(longest_, kRowAlignment);
}

std::uint64_t RowSchema::place(std::uint32_t element_size, std::uint64_t offset) {
  for (std::uint32_t i = 0; i < columns_.size(); ++i) {
    const ColumnSpec& column = columns_[i];
    if (column.kind == ColumnKind::list || element_bytes(column.type) != element_size) continue;
    const Field field{i, static_cast<std::uint32_t>(offset),
                      static_cast<std::uint32_t>(decoded_bytes(i))};
    auto& fields = column.kind == ColumnKind::fixed ? blocks_
                   : element_size == 8              ? scalars8_
                                                    : scalars4_;
    fields.push_back(field);
    offset += field.bytes;
  }
  return offset;
}

}  // namespace friesian
