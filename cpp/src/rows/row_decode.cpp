#include "rows/row_decode.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "common/bytes.hpp"
#include "rows/row_checksum.hpp"

namespace friesian {

namespace {

// A long row's rest follows when it is read.
constexpr std::size_t kMaxPrefetchBytes = 512;

// Four lanes in one baseline register.
using Four [[gnu::vector_size(16)]] = std::uint32_t;

// Lanes of two vectors, b's from 4 on. Put together from elements, GCC would load and move each.
template <int... Lanes>
Four shuffled(Four a, Four b) {
#if __has_builtin(__builtin_shufflevector)
  return __builtin_shufflevector(a, b, Lanes...);
#else
  return __builtin_shuffle(a, b, Four{Lanes...});  // GCC 11
#endif
}

// Four numbers of each of four rows, as four columns.
void transpose(const unsigned char* const* rows, std::uint32_t offset, unsigned char* const* to) {
  const auto a = load<Four>(rows[0] + offset), b = load<Four>(rows[1] + offset);
  const auto c = load<Four>(rows[2] + offset), d = load<Four>(rows[3] + offset);
  const Four ab_low = shuffled<0, 4, 1, 5>(a, b), ab_high = shuffled<2, 6, 3, 7>(a, b);
  const Four cd_low = shuffled<0, 4, 1, 5>(c, d), cd_high = shuffled<2, 6, 3, 7>(c, d);
  store(to[0], shuffled<0, 1, 4, 5>(ab_low, cd_low));
  store(to[1], shuffled<2, 3, 6, 7>(ab_low, cd_low));
  store(to[2], shuffled<0, 1, 4, 5>(ab_high, cd_high));
  store(to[3], shuffled<2, 3, 6, 7>(ab_high, cd_high));
}

// What memcpy and memset do, for the few dozen bytes of a list: calling them takes longer. Whole
// registers, the last of which overlaps the one before; `bytes` is a multiple of 4.
void copy_short(unsigned char* to, const unsigned char* from, std::size_t bytes) {
  if (bytes < sizeof(Four)) {
    for (std::size_t i = 0; i < bytes; i += 4) store(to + i, load<std::uint32_t>(from + i));
    return;
  }
  const std::size_t last = bytes - sizeof(Four);
  for (std::size_t i = 0; i < last; i += sizeof(Four)) store(to + i, load<Four>(from + i));
  store(to + last, load<Four>(from + last));
}

void clear_short(unsigned char* to, std::size_t bytes) {
  if (bytes < sizeof(Four)) {
    for (std::size_t i = 0; i < bytes; i += 4) store(to + i, std::uint32_t{0});
    return;
  }
  const std::size_t last = bytes - sizeof(Four);
  for (std::size_t i = 0; i < last; i += sizeof(Four)) store(to + i, Four{});
  store(to + last, Four{});
}

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

std::vector<std::uint32_t> all_columns(const RowSchema& schema) {
  std::vector<std::uint32_t> columns(schema.columns().size());
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

}  // namespace

RowDecoder::RowDecoder(RowSchema schema) : RowDecoder(schema, all_columns(schema)) {}

RowDecoder::RowDecoder(RowSchema schema, std::vector<std::uint32_t> columns)
    : schema_(std::move(schema)),
      columns_(std::move(columns)),
      tag_(load<std::uint64_t>(schema_.tag().data())),
      zeros_(schema_.fixed_end()) {
  std::vector<std::uint32_t> output_of(schema_.columns().size(), kSkipped);
  for (std::uint32_t i = 0; i < columns_.size(); ++i) output_of[columns_[i]] = i;
  const auto keep = [&output_of](const std::vector<RowSchema::Field>& fields,
                                 std::vector<Copy>& copies) {
    for (const auto& field : fields)
      if (output_of[field.column] != kSkipped)
        copies.push_back({field.offset, output_of[field.column], field.bytes});
  };
  keep(schema_.scalars8(), scalars8_);
  keep(schema_.blocks(), blocks_);
  std::vector<Copy> all4;
  keep(schema_.scalars4(), all4);
  for (std::size_t i = 0; i < all4.size();) {
    const bool four_together = i + 4 <= all4.size() && all4[i + 3].offset == all4[i].offset + 12;
    if (four_together)
      quads_.push_back(
          {all4[i].offset,
           {all4[i].output, all4[i + 1].output, all4[i + 2].output, all4[i + 3].output}});
    else
      scalars4_.push_back(all4[i]);
    i += four_together ? 4 : 1;
  }
  for (std::uint32_t i = 0; i < schema_.lists().size(); ++i) {
    const std::uint32_t column = schema_.lists()[i];
    const ColumnSpec& spec = schema_.columns()[column];
    lists_.push_back({schema_.counts_offset() + 4 * i, element_bytes(spec.type), spec.length,
                      output_of[column]});
  }
}

// Some rows of one call: all are checked first, then each column is taken from all of them. A
// missing row is replaced by zeros, so that no loop need ask.
class RowDecoder::Block {
 public:
  Block(const RowDecoder& decoder, std::span<unsigned char* const> outputs, RowOrigin origin)
      : decoder_(decoder), outputs_(outputs), origin_(origin) {}

  void decode(std::span<const RowView> rows, std::size_t first) {
    n_ = rows.size();
    first_ = first;
    nulls_ = false;
    for (std::size_t i = 0; i < n_; ++i) {
      const bool found = rows[i].data != nullptr;
      if (found) check(rows[i], first + i);
      rows_[i] = found ? rows[i].data : decoder_.zeros_.data();
      if (found) nulls_ |= has_nulls(rows_[i]);
    }
    for (const Quad& quad : decoder_.quads_) turn(quad);
    for (const Copy& copy : decoder_.scalars8_) gather<std::uint64_t>(copy);
    for (const Copy& copy : decoder_.scalars4_) gather<std::uint32_t>(copy);
    for (const Copy& copy : decoder_.blocks_)
      for (std::size_t i = 0; i < n_; ++i)
        std::memcpy(at(copy.output, i, copy.bytes), rows_[i] + copy.offset, copy.bytes);
    copy_lists();
    for (std::size_t i = 0; nulls_ && i < n_; ++i) clear_nulls(i);
  }

 private:
  unsigned char* at(std::size_t output, std::size_t i, std::size_t bytes) const {
    return outputs_[output] + (first_ + i) * bytes;
  }

  template <typename T>
  void gather(const Copy& copy) const {
    unsigned char* const to = at(copy.output, 0, sizeof(T));
    for (std::size_t i = 0; i < n_; ++i) store(to + i * sizeof(T), load<T>(rows_[i] + copy.offset));
  }

  void turn(const Quad& quad) const {
    std::size_t i = 0;
    for (; i + 4 <= n_; i += 4) {
      unsigned char* to[4];
      for (std::size_t j = 0; j < 4; ++j) to[j] = at(quad.outputs[j], i, 4);
      transpose(rows_.data() + i, quad.offset, to);
    }
    for (; i < n_; ++i)
      for (std::size_t j = 0; j < 4; ++j)
        store(at(quad.outputs[j], i, 4), load<std::uint32_t>(rows_[i] + quad.offset + 4 * j));
  }

  void copy_lists() {
    ends_.fill(decoder_.schema_.fixed_end());
    for (const List& list : decoder_.lists_) {
      const std::size_t room = std::size_t{list.most} * list.element;
      for (std::size_t i = 0; i < n_; ++i) {
        const auto count = load<std::uint32_t>(rows_[i] + list.count_offset);
        const std::size_t bytes = std::size_t{count} * list.element;
        const std::uint64_t from = align_up(ends_[i], list.element);
        ends_[i] = from + bytes;
        if (list.output == kSkipped) continue;
        unsigned char* const to = at(list.output, i, room);
        copy_short(to, rows_[i] + from, bytes);
        clear_short(to + bytes, room - bytes);
      }
    }
  }

  // Tag, version and length in two comparisons; the checksum; then the counts, which the schema
  // bounds, so that the sum cannot overflow. Only when the whole length fits them is more decoded.
  void check(RowView row, std::size_t position) const {
    const std::uint64_t size = row.size;
    if (size < decoder_.schema_.fixed_end() || load<std::uint64_t>(row.data) != decoder_.tag_ ||
        (row_header(row.data) & ~kRowChecksumBits) != (kRowVersion | size << 32))
      explain_header(row, position);
    if (origin_ == RowOrigin::outside &&
        (row_header(row.data) & kRowChecksumBits) != row_checksum(row.data, row.size))
      fail(position, "its checksum does not match; the value was altered: load it again");
    std::uint64_t end = decoder_.schema_.fixed_end();
    for (const List& list : decoder_.lists_) {
      const auto count = load<std::uint32_t>(row.data + list.count_offset);
      if (count > list.most) explain_count(list, count, position);
      end = align_up(end, list.element) + std::uint64_t{count} * list.element;
    }
    end = align_up(end, kRowAlignment);
    if (end != size)
      fail(position, "its columns take " + std::to_string(end) + " bytes, but it has " +
                         std::to_string(size));
  }

  [[noreturn]] void explain_header(RowView row, std::size_t position) const {
    const RowTag& tag = decoder_.schema_.tag();
    if (row.size < kRowHeaderBytes)
      fail(position,
           "it has " + std::to_string(row.size) + " bytes, fewer than a row's header of 16");
    if (std::memcmp(row.data, tag.data(), tag.size()) != 0)
      throw RowFault(position, true,
                     "its tag is " + in_hex(row.data, 8) + ", not " + in_hex(tag.data(), 8) +
                         ": it was packed under another feature spec");
    if (row.data[8] != kRowVersion)
      fail(position, "its version is " + std::to_string(row.data[8]) + ", and this code reads " +
                         std::to_string(kRowVersion) +
                         ": publish again, and load Redis again where it holds the rows");
    const auto length = load<std::uint32_t>(row.data + kRowLengthOffset);
    if (length != row.size)
      fail(position, "its header says " + std::to_string(length) + " bytes, but it has " +
                         std::to_string(row.size));
    fail(position, "it has " + std::to_string(length) + " bytes, but its columns take at least " +
                       std::to_string(decoder_.schema_.fixed_end()));
  }

  [[noreturn]] void explain_count(const List& list, std::uint32_t count,
                                  std::size_t position) const {
    const RowSchema& schema = decoder_.schema_;
    const std::size_t number = (list.count_offset - schema.counts_offset()) / 4;
    fail(position, "column '" + schema.columns()[schema.lists()[number]].name + "' has " +
                       std::to_string(count) + " elements, more than the " +
                       std::to_string(list.most) + " allowed");
  }

  [[nodiscard]] bool has_nulls(const unsigned char* row) const {
    const std::size_t columns = decoder_.schema_.columns().size();
    const unsigned char* valid = row + kRowHeaderBytes;
    unsigned all = 0xFF;
    for (std::size_t i = 0; i < columns / 8; ++i) all &= valid[i];
    const unsigned last = columns % 8 == 0 ? 0 : (1u << (columns % 8)) - 1;
    return all != 0xFF || (last != 0 && (valid[columns / 8] & last) != last);
  }

  // A null is stored as zeros; should it not be, it is zero all the same.
  void clear_nulls(std::size_t i) {
    const unsigned char* valid = rows_[i] + kRowHeaderBytes;
    for (std::size_t output = 0; output < decoder_.columns_.size(); ++output) {
      const std::uint32_t column = decoder_.columns_[output];
      const std::size_t bytes = decoder_.schema_.decoded_bytes(column);
      if (((valid[column / 8] >> (column % 8)) & 1) == 0)
        std::memset(at(output, i, bytes), 0, bytes);
    }
  }

  const RowDecoder& decoder_;
  std::span<unsigned char* const> outputs_;
  RowOrigin origin_;
  std::array<const unsigned char*, kRowBlock> rows_{};
  std::array<std::uint64_t, kRowBlock> ends_{};
  std::size_t n_ = 0;
  std::size_t first_ = 0;
  bool nulls_ = false;
};

void RowDecoder::decode(std::size_t n, const NextRows& next,
                        std::span<unsigned char* const> outputs, RowOrigin origin) const {
  Block block(*this, outputs, origin);
  std::array<RowView, kRowBlock> rows;
  for (std::size_t first = 0; first < n; first += kRowBlock) {
    const std::span part = std::span(rows).first(std::min(kRowBlock, n - first));
    next(first, part);
    block.decode(part, first);
  }
}

void RowDecoder::decode(std::span<const RowView> rows, std::span<unsigned char* const> outputs,
                        RowOrigin origin) const {
  const auto fetch = [rows](std::size_t first, std::size_t n) {
    for (std::size_t i = first; i < std::min(first + n, rows.size()); ++i)
      if (rows[i].data != nullptr)
        prefetch(rows[i].data, std::min(rows[i].size, kMaxPrefetchBytes));
  };
  fetch(0, kRowsAhead);
  decode(
      rows.size(),
      [rows, &fetch](std::size_t first, std::span<RowView> part) {
        fetch(first + kRowsAhead, part.size());
        std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(first), part.size(), part.begin());
      },
      outputs, origin);
}

}  // namespace friesian
