#pragma once
#include <bit>
#include <cstdint>

#include "hash/bucket_modulus.hpp"

// One lane at a time, for the scalar level and for what the vector levels finish by hand. An
// unnamed namespace on purpose: every instruction-set unit compiles its own copy.
namespace friesian {
namespace {

// The digest's words a, b, c, d (little-endian bytes of a big-endian number) modulo bins. Both sums
// below stay under 2^64 because bins < 2^31.
[[maybe_unused]] inline std::int32_t digest_mod(std::uint32_t a, std::uint32_t b, std::uint32_t c,
                                                std::uint32_t d, const BucketModulus& modulus) {
  const std::uint64_t high =
      __builtin_bswap32(a) * modulus.power3 + __builtin_bswap32(b) * modulus.power2;
  const std::uint64_t sum = (high >> 32) * modulus.power1 + (high & 0xffffffff) +
                            __builtin_bswap32(c) * modulus.power1 + __builtin_bswap32(d);
  // The quotient by multiplication is at most two too small.
  const auto quotient =
      static_cast<std::uint64_t>((static_cast<unsigned __int128>(sum) * modulus.inverse) >> 64);
  std::uint64_t rest = sum - quotient * modulus.bins;
  if (rest >= modulus.bins) rest -= modulus.bins;
  if (rest >= modulus.bins) rest -= modulus.bins;
  return static_cast<std::int32_t>(rest);
}

}  // namespace
}  // namespace friesian
