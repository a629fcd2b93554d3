#pragma once
#include "common/bytes_hash.hpp"

namespace friesian {

// The second word of a row: version, checksum, length, from the lowest byte on.
inline constexpr std::uint64_t kRowChecksumBits = 0x00000000FFFFFF00;

[[nodiscard]] inline std::uint64_t row_header(const unsigned char* row) noexcept {
  return load<std::uint64_t>(row + 8);
}

// The 24 bits that a row of `size` bytes, a multiple of 8, must hold as its checksum, at their
// place in the header; decision 0001 defines them. A multiplication takes two words, and two chains
// of them run side by side: one for each word, as in hash_bytes, takes nearly twice as long. Of
// damaged rows one in 16.8 million passes. Not meant to withstand an attacker.
[[nodiscard]] inline std::uint64_t row_checksum(const unsigned char* row,
                                                std::size_t size) noexcept {
  constexpr std::uint64_t kA = 0x9E3779B97F4A7C15, kB = 0xD6E8FEB86659FD93;
  const auto word = [row](std::size_t at) { return load<std::uint64_t>(row + at); };
  std::uint64_t a = folded(word(0) ^ kA, (row_header(row) & ~kRowChecksumBits) ^ kB);
  std::uint64_t b = kA;
  std::size_t at = 16;
  for (; at + 32 <= size; at += 32) {
    a = folded(a ^ word(at), word(at + 8) ^ kA);
    b = folded(b ^ word(at + 16), word(at + 24) ^ kB);
  }
  if (at + 16 <= size) {
    a = folded(a ^ word(at), word(at + 8) ^ kA);
    at += 16;
  }
  if (at + 8 <= size) b = folded(b ^ word(at), kB);
  return folded(a ^ kA, b ^ kB) >> 40 << 8;
}

}  // namespace friesian
