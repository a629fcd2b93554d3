#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace friesian {

// How many bits are set.
[[nodiscard]] std::size_t bitmap_count(std::span<const std::uint64_t> words) noexcept;

// The bits that are set, rising. There are fewer than 2^32 bits.
[[nodiscard]] std::vector<std::uint32_t> bitmap_positions(std::span<const std::uint64_t> words);

}  // namespace friesian
