#pragma once
#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "rows/row_checksum.hpp"
#include "rows/row_fault.hpp"
#include "rows/row_schema.hpp"
#include "rows/row_turn.hpp"

namespace friesian {

// Where rows come from. Those of a row store were verified with its file; any others may have been
// altered since they were packed, and are held against their checksums.
enum class RowOrigin : std::uint8_t { outside, store };

// So many rows are checked and then decoded together. They are few, so that fetching as many more
// fits the misses that a core can have under way, and goes on while these are decoded.
inline constexpr std::size_t kRowBlock = 16;
// Rows between fetching one and decoding it: about as far ahead as memory streams.
inline constexpr std::size_t kRowsAhead = 32;

// Decodes packed rows into columns; what is to be copied where is worked out once.
class RowDecoder {
 public:
  // Every column, in the schema's order.
  explicit RowDecoder(RowSchema schema, SimdLevel level = active_simd_level());
  // These columns of the schema, each at most once.
  RowDecoder(RowSchema schema, std::vector<std::uint32_t> columns,
             SimdLevel level = active_simd_level());

  [[nodiscard]] const RowSchema& schema() const noexcept { return schema_; }
  [[nodiscard]] const std::vector<std::uint32_t>& columns() const noexcept { return columns_; }

  // Decodes rows[i] to place i of every output; outputs[c] has room for rows.size() values of
  // columns()[c]. Nulls, missing rows and the space after a list's elements become zeros. Every
  // row is checked before it is read: bytes past its size are never touched, whatever it says.
  // Throws RowFault with the position in `rows`.
  void decode(std::span<const RowView> rows, std::span<unsigned char* const> outputs,
              RowOrigin origin) const;

  // The same for n rows that are only asked for when it is their turn, a few at a time and in
  // order: next(first, rows) sets `rows` to those from `first` on. What it fetches ahead arrives
  // while the rows before are decoded.
  using NextRows = std::function<void(std::size_t first, std::span<RowView> rows)>;
  void decode(std::size_t n, const NextRows& next, std::span<unsigned char* const> outputs,
              RowOrigin origin) const;

 private:
  class Block;

  // A value that stands at the same place in every row.
  struct Copy {
    std::uint32_t offset;
    std::uint32_t output;
    std::uint32_t bytes;
  };
  // Where each of kTile words of 4 bytes that stand side by side is put, kSkipped for nowhere.
  struct Tile {
    std::uint32_t offset;
    std::array<std::uint32_t, kTile> outputs;
  };
  struct List {
    std::uint32_t count_offset;
    std::uint32_t element;
    std::uint32_t most;
    std::uint32_t output;
  };

  static constexpr std::uint32_t kSkipped = 0xFFFFFFFF;

  void set_tiles(std::span<const Copy> scalars);
  void make_missing();

  RowSchema schema_;
  std::vector<std::uint32_t> columns_;
  kernels::RowChecksums* checksums_;
  kernels::RowTurn* turn_;
  std::uint64_t tag_ = 0;
  std::vector<std::uint64_t> valid_;  // the validity of a row without nulls, in words
  std::vector<Tile> tiles_;
  std::vector<Copy> scalars8_, scalars4_, blocks_;  // scalars4_: those in no tile
  std::vector<List> lists_;
  std::vector<unsigned char> missing_;  // what stands in for a missing row: a sound one of zeros
};

}  // namespace friesian
