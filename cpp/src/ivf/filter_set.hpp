#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "simd/simd_level.hpp"

namespace friesian {

namespace kernels {
// Bit i of the bitmap `out` = bit values[i] - base of the bitmap `table`, which has `span` bits in
// whole words; false outside it. Reads n values; writes n bits rounded up to whole words, the bits
// from n on as zeros. Same bits at every level.
using FilterSetInt32 = void(const std::int32_t* values, std::size_t n, std::int32_t base,
                            const std::uint64_t* table, std::uint32_t span, std::uint64_t* out);
FilterSetInt32 filter_set_int32_scalar, filter_set_int32_avx2, filter_set_int32_avx512;
}  // namespace kernels

// The rows whose value is one of `wanted`, as a bitmap of bitmap_words(values.size()) words.
// `wanted` rises strictly and holds no NaN. T is int32, int64, float or double.
template <typename T>
void filter_set(std::span<const T> values, std::span<const T> wanted, SimdLevel level,
                std::uint64_t* out);

}  // namespace friesian
