#pragma once
#include <cstddef>
#include <cstdint>

namespace friesian {

// A bitmap is 64-bit words; bit i is bit i % 64, from the lowest, of word i / 64.

[[nodiscard]] constexpr std::size_t bitmap_words(std::size_t bits) noexcept {
  return bits / 64 + (bits % 64 != 0);
}

[[nodiscard]] constexpr bool bitmap_has(const std::uint64_t* words, std::size_t i) noexcept {
  return ((words[i / 64] >> (i % 64)) & 1) != 0;
}

constexpr void bitmap_set(std::uint64_t* words, std::size_t i) noexcept {
  words[i / 64] |= std::uint64_t{1} << (i % 64);
}

constexpr void bitmap_clear(std::uint64_t* words, std::size_t i) noexcept {
  words[i / 64] &= ~(std::uint64_t{1} << (i % 64));
}

}  // namespace friesian
