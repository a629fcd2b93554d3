#include "sequence/history.hpp"

#include <algorithm>
#include <cstring>

namespace friesian {

std::vector<HistoryBlock> history_blocks(std::span<const std::int64_t> bounds, std::int64_t min_len,
                                         std::int64_t max_len, std::int64_t num_seqs,
                                         std::int64_t block_rows) {
  std::vector<HistoryBlock> blocks;
  for (std::size_t user = 0; user + 1 < bounds.size(); ++user) {
    const std::int64_t start = bounds[user];
    const std::int64_t rows = bounds[user + 1] - start;
    if (rows < 2) continue;
    for (std::int64_t row = std::max(min_len, rows - num_seqs); row < rows; row += block_rows)
      blocks.push_back({start + std::max<std::int64_t>(0, row - max_len), start + row,
                        start + std::min(rows, row + block_rows)});
  }
  return blocks;
}

void window_values(const std::byte* values, std::size_t width, std::span<const std::int64_t> begins,
                   std::span<const std::int64_t> lengths, std::byte* out) noexcept {
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::size_t bytes = static_cast<std::size_t>(lengths[i]) * width;
    if (bytes == 0) continue;
    std::memcpy(out, values + static_cast<std::size_t>(begins[i]) * width, bytes);
    out += bytes;
  }
}

}  // namespace friesian
