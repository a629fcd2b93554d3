#pragma once
#include <cstddef>
#include <cstdint>

#include "hash/bucket_modulus.hpp"

namespace friesian::kernels {

// The longest message that fits one MD5 block with its padding.
inline constexpr std::uint32_t kOneBlock = 55;

// out[i] = the MD5 digest of message i, as a big-endian number, modulo the bins. Same bits at every
// level. `short`: no message is longer than kOneBlock, and 64 bytes can be read from each address.
// `long`: any lengths, and only a message's own bytes are read; neighbours of like length are
// fastest.
using Md5Bucket = void(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                       std::size_t n, const BucketModulus& modulus, std::int32_t* out);
Md5Bucket md5_bucket_short_scalar, md5_bucket_short_avx2, md5_bucket_short_avx512;
Md5Bucket md5_bucket_long_scalar, md5_bucket_long_avx2, md5_bucket_long_avx512;

}  // namespace friesian::kernels
