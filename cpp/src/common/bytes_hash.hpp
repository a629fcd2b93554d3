#pragma once
#include "common/bytes.hpp"

namespace friesian {

// SplitMix64's finaliser (Steele, Lea & Flood, OOPSLA 2014): every input bit reaches every output
// bit.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// The halves of the 128-bit product, one upon the other.
[[nodiscard]] constexpr std::uint64_t folded(std::uint64_t a, std::uint64_t b) noexcept {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// The 1 to 7 bytes that end at `end`, of `size` bytes, as a word filled up with zeros. Without a
// memcpy of unknown length, which would be a call and most of the time of a short hash.
[[nodiscard]] inline std::uint64_t last_word(const unsigned char* end, std::size_t size) noexcept {
  const std::size_t rest = size % 8;
  if (size > 8) return load<std::uint64_t>(end - 8) >> (8 * (8 - rest));
  const unsigned char* begin = end - rest;
  if (rest >= 4)  // both halves hold the same bytes where they overlap
    return load<std::uint32_t>(begin) | std::uint64_t{load<std::uint32_t>(end - 4)}
                                            << (8 * (rest - 4));
  return begin[0] | std::uint64_t{begin[rest / 2]} << (8 * (rest / 2)) |
         std::uint64_t{end[-1]} << (8 * (rest - 1));
}

// A 64-bit hash of bytes, for tables and checksums; it is part of the file formats. Words of
// eight bytes, the last one filled up with zeros, are chained by xor, odd multiplication and a
// shift (each a bijection of the state), then finalised with the length. So two inputs of equal
// length that differ in one word never collide. Not meant to withstand an attacker.
[[nodiscard]] inline std::uint64_t hash_bytes(const void* from, std::size_t size) noexcept {
  const auto* at = static_cast<const unsigned char*>(from);
  std::uint64_t state = 0x9E3779B97F4A7C15;
  const auto add = [&state](std::uint64_t word) {
    state = (state ^ word) * 0xD6E8FEB86659FD93;
    state ^= state >> 32;
  };
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) add(load<std::uint64_t>(at + i));
  if (i < size) add(last_word(at + size, size));
  return mix64(state ^ static_cast<std::uint64_t>(size));
}

}  // namespace friesian
