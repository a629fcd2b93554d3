#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "rows/row_checksum.hpp"
#include "rows/row_schema.hpp"

namespace friesian {

// A row that cannot be decoded: which one of the batch, and why.
struct RowFault : std::runtime_error {
  RowFault(std::size_t row_position, bool wrong_tag, const std::string& what)
      : std::runtime_error(what), position(row_position), other_schema(wrong_tag) {}
  std::size_t position;
  bool other_schema;
};

// Whether the row is one of the schema, given the checksum that its bytes ask for, which need not
// be known of a row shorter than the schema's fixed part.
[[nodiscard]] bool row_sound(const RowSchema& schema, RowView row, std::uint64_t checksum);

// Throws RowFault with what is wrong with a row that is not sound.
[[noreturn]] void throw_row_fault(const RowSchema& schema, RowView row, std::uint64_t checksum,
                                  std::size_t position);

}  // namespace friesian
