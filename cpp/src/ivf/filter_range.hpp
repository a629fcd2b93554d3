#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "simd/simd_level.hpp"

namespace friesian {

namespace kernels {
// Bit i of the bitmap `out` = low <= values[i] <= high; false for NaN. Writes n bits rounded up to
// whole words, the bits from n on as zeros. Reads n values, natural alignment is enough; `out` does
// not overlap them. Same bits at every level.
template <typename T>
using FilterRange = void(const T* values, std::size_t n, T low, T high, std::uint64_t* out);
FilterRange<std::int32_t> filter_range_int32_scalar, filter_range_int32_avx2,
    filter_range_int32_avx512;
FilterRange<std::int64_t> filter_range_int64_scalar, filter_range_int64_avx2,
    filter_range_int64_avx512;
FilterRange<float> filter_range_float32_scalar, filter_range_float32_avx2,
    filter_range_float32_avx512;
FilterRange<double> filter_range_float64_scalar, filter_range_float64_avx2,
    filter_range_float64_avx512;
}  // namespace kernels

// The rows whose value lies in [low, high], as a bitmap of bitmap_words(values.size()) words.
// T is int32, int64, float or double.
template <typename T>
void filter_range(std::span<const T> values, T low, T high, SimdLevel level, std::uint64_t* out);

}  // namespace friesian
