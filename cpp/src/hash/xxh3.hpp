#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "common/bytes_hash.hpp"

// XXH3, 64 bits, without seed, by its specification (Yann Collet, xxHash: doc/xxhash_spec.md). Made
// for short texts: up to 240 bytes it is a handful of multiplications.
namespace friesian::xxh3 {

inline constexpr std::array<std::uint8_t, 192> kSecret{
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e};

inline constexpr std::uint64_t kPrime32_1 = 0x9E3779B1;
inline constexpr std::uint64_t kPrime32_2 = 0x85EBCA77;
inline constexpr std::uint64_t kPrime32_3 = 0xC2B2AE3D;
inline constexpr std::uint64_t kPrime64_1 = 0x9E3779B185EBCA87;
inline constexpr std::uint64_t kPrime64_2 = 0xC2B2AE3D27D4EB4F;
inline constexpr std::uint64_t kPrime64_3 = 0x165667B19E3779F9;
inline constexpr std::uint64_t kPrime64_4 = 0x85EBCA77C2B2AE63;
inline constexpr std::uint64_t kPrime64_5 = 0x27D4EB2F165667C5;
inline constexpr std::uint64_t kPrimeMx1 = 0x165667919E3779F9;
inline constexpr std::uint64_t kPrimeMx2 = 0x9FB21C651E98DF25;

inline constexpr std::size_t kStripe = 64;
inline constexpr std::size_t kStripesOfBlock = (kSecret.size() - kStripe) / 8;

inline std::uint64_t word(const std::uint8_t* at) noexcept { return load<std::uint64_t>(at); }
inline std::uint64_t half(const std::uint8_t* at) noexcept { return load<std::uint32_t>(at); }
inline std::uint64_t secret(std::size_t at) noexcept { return word(kSecret.data() + at); }

inline std::uint64_t avalanche(std::uint64_t hash) noexcept {
  hash = (hash ^ (hash >> 37)) * kPrimeMx1;
  return hash ^ (hash >> 32);
}

inline std::uint64_t avalanche_64(std::uint64_t hash) noexcept {
  hash = (hash ^ (hash >> 33)) * kPrime64_2;
  hash = (hash ^ (hash >> 29)) * kPrime64_3;
  return hash ^ (hash >> 32);
}

inline std::uint64_t mix16(const std::uint8_t* at, std::size_t secret_at) noexcept {
  return folded(word(at) ^ secret(secret_at), word(at + 8) ^ secret(secret_at + 8));
}

inline std::uint64_t up_to_16(const std::uint8_t* at, std::size_t size) noexcept {
  if (size > 8) {
    const std::uint64_t low = word(at) ^ secret(24) ^ secret(32);
    const std::uint64_t high = word(at + size - 8) ^ secret(40) ^ secret(48);
    return avalanche(size + __builtin_bswap64(low) + high + folded(low, high));
  }
  if (size >= 4) {
    std::uint64_t hash = (half(at + size - 4) + (half(at) << 32)) ^ secret(8) ^ secret(16);
    hash = (hash ^ std::rotl(hash, 49) ^ std::rotl(hash, 24)) * kPrimeMx2;
    hash = (hash ^ ((hash >> 35) + size)) * kPrimeMx2;
    return hash ^ (hash >> 28);
  }
  if (size == 0) return avalanche_64(secret(56) ^ secret(64));
  const std::uint64_t joined = std::uint64_t{at[size - 1]} | (size << 8) |
                               (std::uint64_t{at[0]} << 16) | (std::uint64_t{at[size / 2]} << 24);
  return avalanche_64(joined ^ half(kSecret.data()) ^ half(kSecret.data() + 4));
}

inline std::uint64_t up_to_128(const std::uint8_t* at, std::size_t size) noexcept {
  std::uint64_t sum = size * kPrime64_1;
  for (std::size_t pairs = (size - 1) / 32 + 1; pairs-- > 0;)
    sum +=
        mix16(at + 16 * pairs, 32 * pairs) + mix16(at + size - 16 * (pairs + 1), 32 * pairs + 16);
  return avalanche(sum);
}

inline std::uint64_t up_to_240(const std::uint8_t* at, std::size_t size) noexcept {
  std::uint64_t sum = size * kPrime64_1;
  for (std::size_t i = 0; i < 8; ++i) sum += mix16(at + 16 * i, 16 * i);
  std::uint64_t rest = mix16(at + size - 16, 136 - 17);
  for (std::size_t i = 8; i < size / 16; ++i) rest += mix16(at + 16 * i, 16 * (i - 8) + 3);
  return avalanche(avalanche(sum) + rest);
}

using Lanes = std::array<std::uint64_t, 8>;

inline void add_stripe(Lanes& lanes, const std::uint8_t* at, std::size_t secret_at) noexcept {
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const std::uint64_t value = word(at + 8 * i);
    const std::uint64_t key = value ^ secret(secret_at + 8 * i);
    lanes[i ^ 1] += value;
    lanes[i] += (key & 0xFFFFFFFF) * (key >> 32);
  }
}

inline void scramble(Lanes& lanes) noexcept {
  for (std::size_t i = 0; i < lanes.size(); ++i)
    lanes[i] =
        (lanes[i] ^ (lanes[i] >> 47) ^ secret(kSecret.size() - kStripe + 8 * i)) * kPrime32_1;
}

inline std::uint64_t longer(const std::uint8_t* at, std::size_t size) noexcept {
  Lanes lanes{kPrime32_3, kPrime64_1, kPrime64_2, kPrime64_3,
              kPrime64_4, kPrime32_2, kPrime64_5, kPrime32_1};
  const std::size_t stripes = (size - 1) / kStripe;
  for (std::size_t i = 0; i < stripes; ++i) {
    add_stripe(lanes, at + i * kStripe, 8 * (i % kStripesOfBlock));
    if ((i + 1) % kStripesOfBlock == 0) scramble(lanes);
  }
  add_stripe(lanes, at + size - kStripe, kSecret.size() - kStripe - 7);
  std::uint64_t sum = size * kPrime64_1;
  for (std::size_t i = 0; i < lanes.size(); i += 2)
    sum += folded(lanes[i] ^ secret(11 + 8 * i), lanes[i + 1] ^ secret(19 + 8 * i));
  return avalanche(sum);
}

[[nodiscard]] inline std::uint64_t hash(const std::uint8_t* at, std::size_t size) noexcept {
  if (size <= 16) return up_to_16(at, size);
  if (size <= 128) return up_to_128(at, size);
  if (size <= 240) return up_to_240(at, size);
  return longer(at, size);
}

}  // namespace friesian::xxh3
