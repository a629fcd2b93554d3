#include "rows/row_fault.hpp"

#include <cstring>

#include "common/bytes.hpp"

namespace friesian {

namespace {

std::string in_hex(const unsigned char* bytes, std::size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

[[noreturn]] void fail(std::size_t at, const std::string& what) { throw RowFault(at, false, what); }

std::uint32_t count_of(const RowSchema& schema, const unsigned char* row, std::size_t list) {
  return load<std::uint32_t>(row + schema.counts_offset() + 4 * list);
}

// Where a row ends by its counts, 0 when one is too large.
std::uint64_t end_of(const RowSchema& schema, const unsigned char* row) {
  std::uint64_t end = schema.fixed_end();
  for (std::size_t i = 0; i < schema.lists().size(); ++i) {
    const ColumnSpec& column = schema.columns()[schema.lists()[i]];
    const std::uint32_t count = count_of(schema, row, i), element = element_bytes(column.type);
    if (count > column.length) return 0;
    end = align_up(end, element) + std::uint64_t{count} * element;
  }
  return align_up(end, kRowAlignment);
}

void check_header(const RowSchema& schema, RowView row, std::size_t position) {
  if (row.size < kRowHeaderBytes)
    fail(position,
         "it has " + std::to_string(row.size) + " bytes, fewer than a row's header of 16");
  if (std::memcmp(row.data, schema.tag().data(), schema.tag().size()) != 0)
    throw RowFault(position, true,
                   "its tag is " + in_hex(row.data, 8) + ", not " + in_hex(schema.tag().data(), 8) +
                       ": it was packed under another feature spec");
  if (row.data[8] != kRowVersion)
    fail(position, "its version is " + std::to_string(row.data[8]) + ", and this code reads " +
                       std::to_string(kRowVersion) +
                       ": publish again, and load Redis again where it holds the rows");
  const auto length = load<std::uint32_t>(row.data + kRowLengthOffset);
  if (length != row.size)
    fail(position, "its header says " + std::to_string(length) + " bytes, but it has " +
                       std::to_string(row.size));
  if (length < schema.fixed_end())
    fail(position, "it has " + std::to_string(length) + " bytes, but its columns take at least " +
                       std::to_string(schema.fixed_end()));
}

}  // namespace

bool row_sound(const RowSchema& schema, RowView row, std::uint64_t checksum) {
  return row.size >= schema.fixed_end() &&
         std::memcmp(row.data, schema.tag().data(), schema.tag().size()) == 0 &&
         row_header(row.data) == (kRowVersion | checksum | std::uint64_t{row.size} << 32) &&
         end_of(schema, row.data) == row.size;
}

void throw_row_fault(const RowSchema& schema, RowView row, std::uint64_t checksum,
                     std::size_t position) {
  check_header(schema, row, position);
  if ((row_header(row.data) & kRowChecksumBits) != checksum)
    fail(position, "its checksum does not match; the value was altered: load it again");
  for (std::size_t i = 0; i < schema.lists().size(); ++i) {
    const ColumnSpec& column = schema.columns()[schema.lists()[i]];
    if (const std::uint32_t count = count_of(schema, row.data, i); count > column.length)
      fail(position, "column '" + column.name + "' has " + std::to_string(count) +
                         " elements, more than the " + std::to_string(column.length) + " allowed");
  }
  fail(position, "its columns take " + std::to_string(end_of(schema, row.data)) +
                     " bytes, but it has " + std::to_string(row.size));
}

}  // namespace friesian
