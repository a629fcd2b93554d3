#pragma once
#include <cstddef>
#include <span>
#include <stdexcept>

#include "rows/row_schema.hpp"

namespace friesian {

// One packed row as it was received; `data` is null for a row that is missing.
struct RowView {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
};

// A row that cannot be decoded: which one of the batch, and why.
struct RowFault : std::runtime_error {
  RowFault(std::size_t row_position, bool wrong_tag, const std::string& what)
      : std::runtime_error(what), position(row_position), other_schema(wrong_tag) {}
  std::size_t position;
  bool other_schema;
};

// Where the decoded columns go: outputs[c] has room for n rows of schema.decoded_bytes(c) bytes,
// found for n bytes. Rows are written at `first`, `first + 1`, ...; nulls, missing rows and the
// space after a list's elements become zeros.
struct DecodeOutputs {
  std::span<void* const> columns;
  unsigned char* found;
};

// Decodes rows[i] to position first + i. Every row is checked before it is read: bytes past its
// size are never touched, whatever it says. Throws RowFault with the position in the batch.
void decode_rows(const RowSchema& schema, std::span<const RowView> rows, std::size_t first,
                 const DecodeOutputs& out);

}  // namespace friesian
