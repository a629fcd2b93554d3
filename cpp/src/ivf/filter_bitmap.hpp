#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "ivf/ivf_layout.hpp"

namespace friesian {

// How many bits are set.
[[nodiscard]] std::size_t bitmap_count(std::span<const std::uint64_t> words) noexcept;

// Bit l of `out`, of bitmap_words(nlist) words, says whether list l has a position in `words`,
// which holds a bit for each of the layout's.
void bitmap_lists(const IvfLayout& layout, std::span<const std::uint64_t> words,
                  std::uint64_t* out) noexcept;

}  // namespace friesian
