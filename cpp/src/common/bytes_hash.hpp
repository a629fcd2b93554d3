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

// A 64-bit hash of bytes, for id tables and checksums; it is part of the file formats. Words of
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
  if (i < size) {
    std::uint64_t last = 0;
    std::memcpy(&last, at + i, size - i);
    add(last);
  }
  return mix64(state ^ static_cast<std::uint64_t>(size));
}

}  // namespace friesian
