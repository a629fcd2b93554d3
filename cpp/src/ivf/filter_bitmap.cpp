#include "ivf/filter_bitmap.hpp"

#include <bit>

namespace friesian {

std::size_t bitmap_count(std::span<const std::uint64_t> words) noexcept {
  std::size_t count = 0;
  for (const std::uint64_t word : words) count += static_cast<std::size_t>(std::popcount(word));
  return count;
}

std::vector<std::uint32_t> bitmap_positions(std::span<const std::uint64_t> words) {
  std::vector<std::uint32_t> positions;
  positions.reserve(bitmap_count(words));
  for (std::size_t i = 0; i < words.size(); ++i)
    for (std::uint64_t word = words[i]; word != 0; word &= word - 1)
      positions.push_back(static_cast<std::uint32_t>(i * 64) +
                          static_cast<std::uint32_t>(std::countr_zero(word)));
  return positions;
}

}  // namespace friesian
