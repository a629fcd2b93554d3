#include "rows/row_decode.hpp"

#include <algorithm>
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

// Decodes one row after another into fixed outputs.
class Decoder {
 public:
  Decoder(const RowSchema& schema, const DecodeOutputs& out) : schema_(schema), out_(out) {}

  void decode(RowView row, std::size_t at) const {
    check_header(row, at);
    for (const auto& field : schema_.scalars8())
      store(output(field.column) + at * 8, load<std::uint64_t>(row.data + field.offset));
    for (const auto& field : schema_.scalars4())
      store(output(field.column) + at * 4, load<std::uint32_t>(row.data + field.offset));
    for (const auto& field : schema_.blocks())
      std::memcpy(output(field.column) + at * field.bytes, row.data + field.offset, field.bytes);
    decode_lists(row, at);
    clear_nulls(row, at);
    out_.found[at] = 1;
  }

  void leave_out(std::size_t at) const {
    for (std::size_t i = 0; i < schema_.columns().size(); ++i) clear(i, at);
    out_.found[at] = 0;
  }

 private:
  unsigned char* output(std::size_t column) const {
    return static_cast<unsigned char*>(out_.columns[column]);
  }

  void clear(std::size_t column, std::size_t at) const {
    const std::size_t bytes = schema_.decoded_bytes(column);
    std::memset(output(column) + at * bytes, 0, bytes);
  }

  [[noreturn]] static void fail(std::size_t at, const std::string& what) {
    throw RowFault(at, false, what);
  }

  void check_header(RowView row, std::size_t at) const {
    if (row.size < kRowHeaderBytes)
      fail(at, "it has " + std::to_string(row.size) + " bytes, fewer than a row's header of 16");
    if (std::memcmp(row.data, schema_.tag().data(), schema_.tag().size()) != 0)
      throw RowFault(at, true,
                     "its tag is " + in_hex(row.data, 8) + ", not " +
                         in_hex(schema_.tag().data(), 8) +
                         ": it was packed under another feature spec");
    if (load<std::uint32_t>(row.data + 8) != kRowVersion)
      fail(at, "its version and reserved bytes are " + in_hex(row.data + 8, 4) +
                   ", not 01000000; this code reads version 1");
    const auto length = load<std::uint32_t>(row.data + kRowLengthOffset);
    if (length != row.size)
      fail(at, "its header says " + std::to_string(length) + " bytes, but it has " +
                   std::to_string(row.size));
    if (length < schema_.fixed_end())
      fail(at, "it has " + std::to_string(length) + " bytes, but its columns take at least " +
                   std::to_string(schema_.fixed_end()));
  }

  // The counts are bounded by the schema, so that the sum cannot overflow; only when the whole
  // length fits them is a payload read.
  void decode_lists(RowView row, std::size_t at) const {
    std::uint64_t end = schema_.fixed_end();
    const unsigned char* counts = row.data + schema_.counts_offset();
    for (std::size_t i = 0; i < schema_.lists().size(); ++i) {
      const ColumnSpec& column = schema_.columns()[schema_.lists()[i]];
      const auto count = load<std::uint32_t>(counts + 4 * i);
      if (count > column.length)
        fail(at, "column '" + column.name + "' has " + std::to_string(count) +
                     " elements, more than the " + std::to_string(column.length) + " allowed");
      const std::uint32_t size = element_bytes(column.type);
      end = align_up(end, size) + std::uint64_t{count} * size;
    }
    if (align_up(end, kRowAlignment) != row.size)
      fail(at, "its columns take " + std::to_string(align_up(end, kRowAlignment)) +
                   " bytes, but it has " + std::to_string(row.size));
    std::uint64_t from = schema_.fixed_end();
    for (std::size_t i = 0; i < schema_.lists().size(); ++i) {
      const std::uint32_t index = schema_.lists()[i];
      const std::uint32_t size = element_bytes(schema_.columns()[index].type);
      const std::size_t room = schema_.decoded_bytes(index);
      const std::size_t bytes = std::size_t{load<std::uint32_t>(counts + 4 * i)} * size;
      from = align_up(from, size);
      unsigned char* to = output(index) + at * room;
      std::memcpy(to, row.data + from, bytes);
      std::memset(to + bytes, 0, room - bytes);
      from += bytes;
    }
  }

  // A null is stored as zeros; should it not be, it is zero all the same.
  void clear_nulls(RowView row, std::size_t at) const {
    const unsigned char* validity = row.data + kRowHeaderBytes;
    for (std::size_t i = 0; i < schema_.columns().size(); i += 8) {
      if (validity[i / 8] == 0xFF) continue;
      const std::size_t end = std::min(i + 8, schema_.columns().size());
      for (std::size_t column = i; column < end; ++column)
        if (((validity[i / 8] >> (column % 8)) & 1) == 0) clear(column, at);
    }
  }

  const RowSchema& schema_;
  const DecodeOutputs& out_;
};

}  // namespace

void decode_rows(const RowSchema& schema, std::span<const RowView> rows, std::size_t first,
                 const DecodeOutputs& out) {
  constexpr std::size_t kAhead = 16;
  const Decoder decoder(schema, out);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + kAhead < rows.size()) prefetch(rows[i + kAhead].data, schema.fixed_end());
    if (rows[i].data == nullptr)
      decoder.leave_out(first + i);
    else
      decoder.decode(rows[i], first + i);
  }
}

}  // namespace friesian
