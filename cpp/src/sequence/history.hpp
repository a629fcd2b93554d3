#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace friesian {

// A stretch of one user's sorted rows, [begin, end): those from `first` on get a history, those
// before it only are in one.
struct HistoryBlock {
  std::int64_t begin = 0;
  std::int64_t first = 0;
  std::int64_t end = 0;
};

// Cuts users into blocks of at most `block_rows` rows with a history, each complete in itself. User
// i has the rows [bounds[i], bounds[i + 1]). Row `r` of a user (from 0) has the history of the up
// to max_len rows before it if r >= min_len and it is among the user's last num_seqs; users with
// one row have none. max_len, num_seqs and block_rows are at least 1, min_len at least 0.
[[nodiscard]] std::vector<HistoryBlock> history_blocks(std::span<const std::int64_t> bounds,
                                                       std::int64_t min_len, std::int64_t max_len,
                                                       std::int64_t num_seqs,
                                                       std::int64_t block_rows);

// Copies windows of values of `width` bytes one after another: window i is [begins[i], begins[i] +
// lengths[i]). `out` has room for all of them and does not overlap `values`.
void window_values(const std::byte* values, std::size_t width, std::span<const std::int64_t> begins,
                   std::span<const std::int64_t> lengths, std::byte* out) noexcept;

}  // namespace friesian
