#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace friesian {

// A 64-bit hash of bytes for tables in memory: multiply-and-fold over 16 bytes at a time. Not for
// files: it follows the machine's byte order.
[[nodiscard]] inline std::uint64_t hash_string(const std::uint8_t* bytes,
                                               std::size_t length) noexcept {
  constexpr std::uint64_t kA = 0x9e3779b97f4a7c15, kB = 0xd1b54a32d192ed03, kC = 0x8cb92ba72f3d8dd7;
  const auto fold = [](std::uint64_t x, std::uint64_t y) {
    const auto product = static_cast<unsigned __int128>(x) * y;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  const auto read = [](const std::uint8_t* from, std::size_t size) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, size);
    return word;
  };
  std::uint64_t hash = kC ^ (length * kA);
  std::size_t left = length;
  for (; left > 16; left -= 16, bytes += 16)
    hash = fold(read(bytes, 8) ^ kA ^ hash, read(bytes + 8, 8) ^ kB);
  std::uint64_t low = 0, high = 0;
  if (left >= 8) {
    low = read(bytes, 8);
    high = read(bytes + left - 8, 8);
  } else if (left >= 4) {
    low = read(bytes, 4);
    high = read(bytes + left - 4, 4);
  } else if (left > 0) {
    low = bytes[0] | (std::uint64_t{bytes[left / 2]} << 8) | (std::uint64_t{bytes[left - 1]} << 16);
  }
  return fold(fold(low ^ kA ^ hash, high ^ kB) ^ kC, hash ^ kA);
}

}  // namespace friesian
