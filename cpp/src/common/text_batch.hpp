#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/column.hpp"
#include "common/number_text.hpp"

namespace friesian {

// A short text must have this many readable bytes from its first one on, so that kernels can load
// whole registers; what lies beyond its length is ignored.
inline constexpr std::size_t kReadable = 64;

// The texts of up to kRows rows of a column, as addresses and lengths. String columns are not
// copied (but for the few rows whose end is too near the end of their buffer); numbers are written
// out.
class TextBatch {
 public:
  static constexpr std::size_t kRows = 512;

  // Rows [begin, begin + rows) of `column`; a null gives the text "None" and sets its bit in
  // `nulls`. The addresses hold until the next read, and as long as the column's buffers.
  void read(const Column& column, std::size_t begin, std::size_t rows, TextStyle style);

  std::array<const std::uint8_t*, kRows> bytes;
  std::array<std::uint32_t, kRows> lengths;
  std::array<bool, kRows> nulls;
  bool has_nulls = false;
  std::uint32_t longest = 0;  // of `lengths`
  std::uint64_t total = 0;

 private:
  template <typename Offset>
  void read_strings(const Column& column, std::size_t begin, std::size_t rows);
  template <typename Write>
  void read_numbers(std::size_t rows, const Write& write);
  void read_values(const Column& column, std::size_t begin, std::size_t rows, TextStyle style);
  std::uint8_t* cell(std::size_t row) noexcept { return cells_.data() + row * kReadable; }
  void mark_nulls(const Column& column, std::size_t begin, std::size_t rows);
  void measure(std::size_t rows);

  std::vector<std::uint8_t> cells_ = std::vector<std::uint8_t>(kRows * kReadable);
};

}  // namespace friesian
