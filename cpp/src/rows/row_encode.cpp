#include "rows/row_encode.hpp"

#include <cstring>

#include "common/bytes.hpp"
#include "common/error.hpp"
#include "rows/row_checksum.hpp"

namespace friesian {

namespace {

[[noreturn]] void fail(const ColumnSpec& column, std::int64_t row, std::int64_t count) {
  const std::string allowed =
      (column.kind == ColumnKind::list ? "at most " : "exactly ") + std::to_string(column.length);
  throw InvalidInput("column '" + column.name + "', row " + std::to_string(row) + " has " +
                     std::to_string(count) + " elements; the spec allows " + allowed);
}

std::uint64_t row_bytes(const RowSchema& schema, std::span<const ColumnInput> columns,
                        std::int64_t row) {
  for (const auto& field : schema.blocks()) {
    const std::int64_t count = columns[field.column].count(row);
    const ColumnSpec& column = schema.columns()[field.column];
    if (columns[field.column].valid(row) && count != column.length) fail(column, row, count);
  }
  std::uint64_t end = schema.fixed_end();
  for (const std::uint32_t index : schema.lists()) {
    const ColumnSpec& column = schema.columns()[index];
    const std::int64_t count = columns[index].count(row);
    if (count < 0 || count > column.length) fail(column, row, count);
    const std::uint32_t size = element_bytes(column.type);
    end = align_up(end, size) + static_cast<std::uint64_t>(count) * size;
  }
  return align_up(end, kRowAlignment);
}

// `to` holds zeros, so nulls and padding need no writing.
void write_row(const RowSchema& schema, std::span<const ColumnInput> columns, std::int64_t row,
               std::uint32_t bytes, unsigned char* to) {
  std::memcpy(to, schema.tag().data(), schema.tag().size());
  store(to + 8, kRowVersion);
  store(to + kRowLengthOffset, bytes);
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i].valid(row))
      to[kRowHeaderBytes + i / 8] =
          static_cast<unsigned char>(to[kRowHeaderBytes + i / 8] | (1u << (i % 8)));
  for (const auto* fields : {&schema.scalars8(), &schema.scalars4(), &schema.blocks()})
    for (const auto& field : *fields) {
      const ColumnInput& column = columns[field.column];
      if (!column.valid(row)) continue;
      const std::int64_t size = element_bytes(schema.columns()[field.column].type);
      std::memcpy(to + field.offset, column.values + column.begin(row) * size, field.bytes);
    }
  std::uint64_t at = schema.fixed_end();
  for (std::size_t i = 0; i < schema.lists().size(); ++i) {
    const std::uint32_t index = schema.lists()[i];
    const std::uint32_t size = element_bytes(schema.columns()[index].type);
    const std::int64_t count = columns[index].count(row);
    store(to + schema.counts_offset() + 4 * i, static_cast<std::uint32_t>(count));
    at = align_up(at, size);
    if (count > 0)
      std::memcpy(to + at, columns[index].values + columns[index].begin(row) * size,
                  static_cast<std::size_t>(count) * size);
    at += static_cast<std::uint64_t>(count) * size;
  }
  const RowView packed{to, bytes};
  std::uint64_t checksum = 0;
  kernels::row_checksums_scalar(&packed, 1, &checksum);
  store(to + 8, row_header(to) | checksum);
}

}  // namespace

PackedRows encode_rows(const RowSchema& schema, std::span<const ColumnInput> columns,
                       std::int64_t n) {
  PackedRows packed;
  packed.offsets.reserve(static_cast<std::size_t>(n) + 1);
  packed.offsets.push_back(0);
  for (std::int64_t row = 0; row < n; ++row)
    packed.offsets.push_back(packed.offsets.back() +
                             static_cast<std::int64_t>(row_bytes(schema, columns, row)));
  packed.buffer.resize(static_cast<std::size_t>(packed.offsets.back()));
  for (std::int64_t row = 0; row < n; ++row) {
    const std::int64_t from = packed.offsets[static_cast<std::size_t>(row)];
    const std::int64_t to = packed.offsets[static_cast<std::size_t>(row) + 1];
    write_row(schema, columns, row, static_cast<std::uint32_t>(to - from),
              packed.buffer.data() + from);
  }
  return packed;
}

}  // namespace friesian
