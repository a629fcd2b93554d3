#include "rows/row_decode.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "common/bytes.hpp"
#include "rows/short_copy.hpp"

namespace friesian {

namespace {

// A long row's rest follows when it is read.
constexpr std::size_t kMaxPrefetchBytes = 512;

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
  set_tiles(all4);
  for (std::uint32_t i = 0; i < schema_.lists().size(); ++i) {
    const std::uint32_t column = schema_.lists()[i];
    const ColumnSpec& spec = schema_.columns()[column];
    lists_.push_back({schema_.counts_offset() + 4 * i, element_bytes(spec.type), spec.length,
                      output_of[column]});
  }
}

// The last tile ends with the fixed part of a row, and begins where others have been already. Fewer
// scalars than half a tile are taken one by one.
void RowDecoder::set_tiles(std::span<const Copy> scalars) {
  constexpr std::uint32_t kBytes = 4 * kTile;
  const auto same_tile = [scalars](std::size_t i, std::size_t j) {
    return j < scalars.size() && scalars[j].offset < scalars[i].offset + kBytes;
  };
  for (std::size_t i = 0; i < scalars.size();) {
    if (schema_.fixed_end() < kBytes || !same_tile(i, i + kTile / 2 - 1)) {
      scalars4_.push_back(scalars[i++]);
      continue;
    }
    Tile tile{std::min(scalars[i].offset, schema_.fixed_end() - kBytes), {}};
    tile.outputs.fill(kSkipped);
    for (const std::size_t first = i; same_tile(first, i); ++i)
      tile.outputs[(scalars[i].offset - tile.offset) / 4] = scalars[i].output;
    tiles_.push_back(tile);
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
    const RowSchema& schema = decoder_.schema_;
    std::size_t i = 0;
    while (i + 1 < n_ && (rows[i].data == nullptr || row_sound(schema, rows[i], checksums_[i])))
      ++i;
    throw_row_fault(schema, rows[i], checksums_[i], first_ + i);
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
