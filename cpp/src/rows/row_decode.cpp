#include "rows/row_decode.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

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

// So many rows are fetched ahead and gathered together: about the misses that memory can overlap.
constexpr std::size_t kBlock = 64;
constexpr std::size_t kPrefetchBytes = 512;

[[noreturn]] void fail(std::size_t at, const std::string& what) { throw RowFault(at, false, what); }

// Decodes a block of rows: all are checked first, then each column is gathered from all of them. A
// missing row is replaced by zeros, so that the gathering loops need not ask.
class BlockDecoder {
 public:
  BlockDecoder(const RowSchema& schema, const DecodeOutputs& out)
      : schema_(schema), out_(out), zeros_(schema.fixed_end()) {}

  void decode(std::span<const RowView> rows, std::size_t first) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const bool found = rows[i].data != nullptr;
      if (found) check(rows[i], first + i);
      rows_[i] = found ? rows[i].data : zeros_.data();
      out_.found[first + i] = found ? 1 : 0;
    }
    n_ = rows.size();
    for (const auto& field : schema_.scalars8()) gather<std::uint64_t>(field, first);
    for (const auto& field : schema_.scalars4()) gather<std::uint32_t>(field, first);
    for (const auto& field : schema_.blocks())
      for (std::size_t i = 0; i < n_; ++i)
        std::memcpy(output(field.column, first + i), rows_[i] + field.offset, field.bytes);
    gather_lists(first);
    for (std::size_t i = 0; i < n_; ++i) clear_nulls(rows_[i], first + i);
  }

 private:
  unsigned char* output(std::size_t column, std::size_t at) const {
    return static_cast<unsigned char*>(out_.columns[column]) + at * schema_.decoded_bytes(column);
  }

  template <typename T>
  void gather(const RowSchema::Field& field, std::size_t first) const {
    unsigned char* to = output(field.column, first);
    for (std::size_t i = 0; i < n_; ++i)
      store(to + i * sizeof(T), load<T>(rows_[i] + field.offset));
  }

  void gather_lists(std::size_t first) {
    ends_.fill(schema_.fixed_end());
    for (std::size_t list = 0; list < schema_.lists().size(); ++list) {
      const std::uint32_t column = schema_.lists()[list];
      const std::uint32_t size = element_bytes(schema_.columns()[column].type);
      const std::size_t room = schema_.decoded_bytes(column);
      unsigned char* to = output(column, first);
      for (std::size_t i = 0; i < n_; ++i, to += room) {
        const auto count = load<std::uint32_t>(rows_[i] + schema_.counts_offset() + 4 * list);
        const std::size_t bytes = std::size_t{count} * size;
        const std::uint64_t from = align_up(ends_[i], size);
        std::memcpy(to, rows_[i] + from, bytes);
        if (bytes < room) std::memset(to + bytes, 0, room - bytes);
        ends_[i] = from + bytes;
      }
    }
  }

  void check(RowView row, std::size_t at) const {
    if (row.size < kRowHeaderBytes)
      fail(at, "it has " + std::to_string(row.size) + " bytes, fewer than a row's header of 16");
    if (std::memcmp(row.data, schema_.tag().data(), sizeof(RowTag)) != 0)
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
    check_lists(row, at);
  }

  // The counts are bounded by the schema, so that the sum cannot overflow; only when the whole
  // length fits them is a payload read.
  void check_lists(RowView row, std::size_t at) const {
    std::uint64_t end = schema_.fixed_end();
    for (std::size_t i = 0; i < schema_.lists().size(); ++i) {
      const ColumnSpec& column = schema_.columns()[schema_.lists()[i]];
      const auto count = load<std::uint32_t>(row.data + schema_.counts_offset() + 4 * i);
      if (count > column.length)
        fail(at, "column '" + column.name + "' has " + std::to_string(count) +
                     " elements, more than the " + std::to_string(column.length) + " allowed");
      const std::uint32_t size = element_bytes(column.type);
      end = align_up(end, size) + std::uint64_t{count} * size;
    }
    end = align_up(end, kRowAlignment);
    if (end != row.size)
      fail(at, "its columns take " + std::to_string(end) + " bytes, but it has " +
                   std::to_string(row.size));
  }

  // A null is stored as zeros; should it not be, it is zero all the same.
  void clear_nulls(const unsigned char* row, std::size_t at) const {
    const std::size_t columns = schema_.columns().size();
    for (std::size_t i = 0; i < columns; i += 8) {
      const unsigned char valid = row[kRowHeaderBytes + i / 8];
      if (valid == 0xFF) continue;
      for (std::size_t column = i; column < std::min(i + 8, columns); ++column)
        if (((valid >> (column % 8)) & 1) == 0)
          std::memset(output(column, at), 0, schema_.decoded_bytes(column));
    }
  }

  const RowSchema& schema_;
  const DecodeOutputs& out_;
  std::vector<unsigned char> zeros_;
  std::array<const unsigned char*, kBlock> rows_{};
  std::array<std::uint64_t, kBlock> ends_{};
  std::size_t n_ = 0;
};

}  // namespace

void decode_rows(const RowSchema& schema, std::span<const RowView> rows, std::size_t first,
                 const DecodeOutputs& out) {
  BlockDecoder decoder(schema, out);
  for (std::size_t i = 0; i < rows.size(); i += kBlock) {
    for (const RowView& row : rows.subspan(i, std::min(kBlock, rows.size() - i)))
      prefetch(row.data, row.data == nullptr ? 0 : std::min<std::size_t>(row.size, kPrefetchBytes));
    decoder.decode(rows.subspan(i, std::min(kBlock, rows.size() - i)), first + i);
  }
}

}  // namespace friesian
