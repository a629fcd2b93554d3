#pragma once
#include <cstdint>
#include <span>

#include "common/column.hpp"
#include "hash/bucket_modulus.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

// The largest number of bins: int32 holds every bucket and the kernels' sums stay under 2^64.
inline constexpr std::int64_t kMaxBins = 0x7fffffff;

// out[i] = int(md5(str(column[i])).hexdigest(), 16) % bins, text as Python writes it, "None" for
// null. 1 <= bins <= kMaxBins. Same bits at every level.
void md5_bucket(const Column& column, std::uint32_t bins, std::span<std::int32_t> out,
                SimdLevel level);

// The same for messages given by address and length, up to TextBatch::kRows of them; 64 bytes must
// be readable from the address of every message shorter than that. `longest` bounds the lengths.
void md5_bucket_texts(const std::uint8_t* const* bytes, const std::uint32_t* lengths, std::size_t n,
                      std::uint32_t longest, const BucketModulus& modulus, std::int32_t* out,
                      SimdLevel level);

}  // namespace friesian
