#include "rows/row_decode.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "common/bytes.hpp"

namespace friesian {

namespace {

// A long row's rest follows when it is read.
constexpr std::size_t kMaxPrefetchBytes = 512;

// Four lanes in one baseline register.
using Four [[gnu::vector_size(16)]] = std::uint32_t;

// What memcpy and memset do, for the few dozen bytes of a list: calling them takes longer. Whole
// registers, the last of which overlaps the one before; `bytes` is a multiple of 4.
void copy_short(unsigned char* to, const unsigned char* from, std::size_t bytes) {
  if (bytes < sizeof(Four)) {
    for (std::size_t i = 0; i < bytes; i += 4) store(to + i, load<std::uint32_t>(from + i));
    return;
  }
  const std::size_t last = bytes - sizeof(Four);
  std::size_t i = 0;
  for (; i + sizeof(Four) < last; i += 2 * sizeof(Four)) {
    store(to + i, load<Four>(from + i));
    store(to + i + sizeof(Four), load<Four>(from + i + sizeof(Four)));
  }
  if (i < last) store(to + i, load<Four>(from + i));
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

RowDecoder::RowDecoder(RowSchema schema, SimdLevel level)
    : RowDecoder(schema, all_columns(schema), level) {}

RowDecoder::RowDecoder(RowSchema schema, std::vector<std::uint32_t> columns, SimdLevel level)
    : schema_(std::move(schema)),
      columns_(std::move(columns)),
      checksums_(row_checksums_kernel(level)),
      turn_(row_turn_kernel(level)),
      tag_(load<std::uint64_t>(schema_.tag().data())),
      valid_((schema_.columns().size() + 63) / 64, ~std::uint64_t{0}),
      missing_(align_up(schema_.fixed_end(), kRowAlignment)) {
  if (const std::size_t last = schema_.columns().size() % 64; last > 0)
    valid_.back() = (std::uint64_t{1} << last) - 1;
  make_missing();
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
  const auto same_tile = [&all4](std::size_t i, std::size_t j) {
    return j < all4.size() && all4[j].offset < all4[i].offset + 4 * kTile;
  };
  for (std::size_t i = 0; i < all4.size();) {
    // The last tile ends with the fixed part of the row, and begins where others have been already.
    const std::uint32_t begin =
        std::min(all4[i].offset, schema_.fixed_end() - std::uint32_t{4 * kTile});
    if (!same_tile(i, i + kTile / 2 - 1) || schema_.fixed_end() < 4 * kTile) {
      scalars4_.push_back(all4[i++]);
      continue;
    }
    Tile tile{begin, {}};
    tile.outputs.fill(kSkipped);
    for (const std::size_t first = i; same_tile(first, i); ++i)
      tile.outputs[(all4[i].offset - begin) / 4] = all4[i].output;
    tiles_.push_back(tile);
  }
  for (std::uint32_t i = 0; i < schema_.lists().size(); ++i) {
    const std::uint32_t column = schema_.lists()[i];
    const ColumnSpec& spec = schema_.columns()[column];
    lists_.push_back({schema_.counts_offset() + 4 * i, element_bytes(spec.type), spec.length,
                      output_of[column]});
  }
}

void RowDecoder::make_missing() {
  const RowView row{missing_.data(), missing_.size()};
  store(missing_.data(), tag_);
  std::memcpy(missing_.data() + kRowHeaderBytes, valid_.data(), (schema_.columns().size() + 7) / 8);
  std::uint64_t checksum = 0;
  checksums_(&row, 1, &checksum);
  store(missing_.data() + 8, kRowVersion | checksum | std::uint64_t{row.size} << 32);
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
    const std::uint32_t least = decoder_.schema_.fixed_end();
    const RowView missing{decoder_.missing_.data(), decoder_.missing_.size()};
    bool short_rows = false;
    for (std::size_t i = 0; i < kRowBlock; ++i) {
      const RowView row = i < n_ ? rows[i] : RowView{};
      rows_[i] = row.size < least ? missing : row;
      short_rows |= row.size < least && row.data != nullptr;
    }
    set_checksums();
    if (short_rows || !all_sound()) explain(rows);
    const bool nulls = any_nulls();
    for (const Tile& tile : decoder_.tiles_) turn(tile);
    for (const Copy& copy : decoder_.scalars8_) gather<std::uint64_t>(copy);
    for (const Copy& copy : decoder_.scalars4_) gather<std::uint32_t>(copy);
    for (const Copy& copy : decoder_.blocks_)
      for (std::size_t i = 0; i < n_; ++i)
        std::memcpy(at(copy.output, i, copy.bytes), rows_[i].data + copy.offset, copy.bytes);
    copy_lists();
    for (std::size_t i = 0; nulls && i < n_; ++i) clear_nulls(i);
  }

 private:
  unsigned char* at(std::size_t output, std::size_t i, std::size_t bytes) const {
    return outputs_[output] + (first_ + i) * bytes;
  }

  template <typename T>
  void gather(const Copy& copy) const {
    unsigned char* const to = at(copy.output, 0, sizeof(T));
    for (std::size_t i = 0, n = n_; i < n; ++i)
      store(to + i * sizeof(T), load<T>(rows_[i].data + copy.offset));
  }

  // What no tile can hold of a block that is not full is turned aside, filled up with rows that
  // have no place in the outputs, and so is what nobody asked for.
  void turn(const Tile& tile) {
    const std::size_t whole = n_ / kTile * kTile;
    std::array<unsigned char*, kTile> aside, to;
    for (std::size_t j = 0; j < kTile; ++j) {
      aside[j] = aside_.data() + 4 * kRowBlock * j;
      to[j] = tile.outputs[j] == kSkipped ? aside[j] : at(tile.outputs[j], 0, 4);
    }
    decoder_.turn_(rows_.data(), whole, tile.offset, to.data());
    if (whole == n_) return;
    decoder_.turn_(rows_.data() + whole, kTile, tile.offset, aside.data());
    for (std::size_t j = 0; j < kTile; ++j)
      if (tile.outputs[j] != kSkipped) std::memcpy(to[j] + 4 * whole, aside[j], 4 * (n_ - whole));
  }

  void copy_lists() const {
    std::array<std::uint64_t, kRowBlock> ends;
    ends.fill(decoder_.schema_.fixed_end());
    const std::size_t n = n_;
    for (const List list : decoder_.lists_) {
      const std::size_t room = std::size_t{list.most} * list.element;
      unsigned char* to = list.output == kSkipped ? nullptr : at(list.output, 0, room);
      for (std::size_t i = 0; i < n; ++i) {
        const unsigned char* const row = rows_[i].data;
        const std::size_t bytes =
            std::size_t{load<std::uint32_t>(row + list.count_offset)} * list.element;
        const std::uint64_t from = align_up(ends[i], list.element);
        ends[i] = from + bytes;
        if (to == nullptr) continue;
        copy_short(to, row + from, bytes);
        clear_short(to + bytes, room - bytes);
        to += room;
      }
    }
  }

  // What each row must hold as its checksum; those of a store hold it.
  void set_checksums() {
    if (origin_ == RowOrigin::outside)
      return decoder_.checksums_(rows_.data(), kRowBlock, checksums_.data());
    for (std::size_t i = 0; i < kRowBlock; ++i)
      checksums_[i] = row_header(rows_[i].data) & kRowChecksumBits;
  }

  // The second word of a row that is as its first and its payload say.
  [[nodiscard]] std::uint64_t expected_header(std::size_t i) const {
    return kRowVersion | checksums_[i] | std::uint64_t{rows_[i].size} << 32;
  }

  // Tag; version, checksum and length; and whether the counts, which the schema bounds, come to
  // that length. Only then is more decoded. All rows at once, without a branch for each.
  [[nodiscard]] bool all_sound() const {
    std::uint64_t differences = 0;
    std::array<std::uint64_t, kRowBlock> ends;
    ends.fill(decoder_.schema_.fixed_end());
    for (const List& list : decoder_.lists_)
      for (std::size_t i = 0; i < kRowBlock; ++i) {
        const auto count = load<std::uint32_t>(rows_[i].data + list.count_offset);
        ends[i] = align_up(ends[i], list.element) + std::uint64_t{count} * list.element;
        differences |= static_cast<std::uint64_t>(count > list.most);
      }
    for (std::size_t i = 0; i < kRowBlock; ++i)
      differences |= (load<std::uint64_t>(rows_[i].data) ^ decoder_.tag_) |
                     (row_header(rows_[i].data) ^ expected_header(i)) |
                     (align_up(ends[i], kRowAlignment) ^ rows_[i].size);
    return differences == 0;
  }

  // Some row is not sound: the first of them, and why.
  [[noreturn]] void explain(std::span<const RowView> rows) const {
    std::size_t i = 0;
    while (i + 1 < n_ && (rows[i].data == nullptr || (rows[i].size == rows_[i].size && sound(i))))
      ++i;
    explain(rows[i], first_ + i);
  }

  [[nodiscard]] bool sound(std::size_t i) const {
    const unsigned char* row = rows_[i].data;
    return load<std::uint64_t>(row) == decoder_.tag_ && row_header(row) == expected_header(i) &&
           end_of(row) == rows_[i].size;
  }

  // Where a row ends by its counts, 0 when one is too large.
  [[nodiscard]] std::uint64_t end_of(const unsigned char* row) const {
    std::uint64_t end = decoder_.schema_.fixed_end();
    for (const List& list : decoder_.lists_) {
      const auto count = load<std::uint32_t>(row + list.count_offset);
      if (count > list.most) return 0;
      end = align_up(end, list.element) + std::uint64_t{count} * list.element;
    }
    return align_up(end, kRowAlignment);
  }

  [[noreturn]] void explain(RowView row, std::size_t position) const {
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
    if (length < decoder_.schema_.fixed_end())
      fail(position, "it has " + std::to_string(length) + " bytes, but its columns take at least " +
                         std::to_string(decoder_.schema_.fixed_end()));
    if ((row_header(row.data) & kRowChecksumBits) != checksums_[position - first_])
      fail(position, "its checksum does not match; the value was altered: load it again");
    for (const List& list : decoder_.lists_)
      if (const auto count = load<std::uint32_t>(row.data + list.count_offset); count > list.most)
        explain_count(list, count, position);
    fail(position, "its columns take " + std::to_string(end_of(row.data)) + " bytes, but it has " +
                       std::to_string(row.size));
  }

  [[noreturn]] void explain_count(const List& list, std::uint32_t count,
                                  std::size_t position) const {
    const RowSchema& schema = decoder_.schema_;
    const std::size_t number = (list.count_offset - schema.counts_offset()) / 4;
    fail(position, "column '" + schema.columns()[schema.lists()[number]].name + "' has " +
                       std::to_string(count) + " elements, more than the " +
                       std::to_string(list.most) + " allowed");
  }

  // Whole words: the scalars behind the validity and the counts begin at a multiple of eight bytes.
  [[nodiscard]] bool any_nulls() const {
    std::uint64_t missing = 0;
    for (std::size_t word = 0; word < decoder_.valid_.size(); ++word)
      for (std::size_t i = 0; i < kRowBlock; ++i)
        missing |= decoder_.valid_[word] &
                   ~load<std::uint64_t>(rows_[i].data + kRowHeaderBytes + 8 * word);
    return missing != 0;
  }

  // A null is stored as zeros; should it not be, it is zero all the same.
  void clear_nulls(std::size_t i) {
    const unsigned char* valid = rows_[i].data + kRowHeaderBytes;
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
  std::array<RowView, kRowBlock> rows_{};
  std::array<std::uint64_t, kRowBlock> checksums_{};
  std::array<unsigned char, 4 * kRowBlock * kTile> aside_{};
  std::size_t n_ = 0;
  std::size_t first_ = 0;
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
