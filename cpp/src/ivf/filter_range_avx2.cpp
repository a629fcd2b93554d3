#include <immintrin.h>

#include "ivf/filter_range.hpp"

namespace friesian::kernels {

namespace {

// One register of values against the bounds: a bit for each lane that is inside.
struct Int32Lanes {
  static constexpr std::size_t kLanes = 8;
  __m256i low, high;
  Int32Lanes(std::int32_t from, std::int32_t to)
      : low(_mm256_set1_epi32(from)), high(_mm256_set1_epi32(to)) {}
  unsigned inside(const std::int32_t* at) const {
    const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i outside =
        _mm256_or_si256(_mm256_cmpgt_epi32(low, value), _mm256_cmpgt_epi32(value, high));
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(outside))) ^ 0xFFu;
  }
};

struct Int64Lanes {
  static constexpr std::size_t kLanes = 4;
  __m256i low, high;
  Int64Lanes(std::int64_t from, std::int64_t to)
      : low(_mm256_set1_epi64x(from)), high(_mm256_set1_epi64x(to)) {}
  unsigned inside(const std::int64_t* at) const {
    const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i outside =
        _mm256_or_si256(_mm256_cmpgt_epi64(low, value), _mm256_cmpgt_epi64(value, high));
    return static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(outside))) ^ 0xFu;
  }
};

struct Float32Lanes {
  static constexpr std::size_t kLanes = 8;
  __m256 low, high;
  Float32Lanes(float from, float to) : low(_mm256_set1_ps(from)), high(_mm256_set1_ps(to)) {}
  unsigned inside(const float* at) const {
    const __m256 value = _mm256_loadu_ps(at);
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_and_ps(
        _mm256_cmp_ps(value, low, _CMP_GE_OQ), _mm256_cmp_ps(value, high, _CMP_LE_OQ))));
  }
};

struct Float64Lanes {
  static constexpr std::size_t kLanes = 4;
  __m256d low, high;
  Float64Lanes(double from, double to) : low(_mm256_set1_pd(from)), high(_mm256_set1_pd(to)) {}
  unsigned inside(const double* at) const {
    const __m256d value = _mm256_loadu_pd(at);
    return static_cast<unsigned>(_mm256_movemask_pd(_mm256_and_pd(
        _mm256_cmp_pd(value, low, _CMP_GE_OQ), _mm256_cmp_pd(value, high, _CMP_LE_OQ))));
  }
};

template <typename Lanes, typename T>
void filter_range(const T* values, std::size_t n, T low, T high, std::uint64_t* out) {
  const Lanes lanes(low, high);
  std::size_t first = 0;
  for (; first + 64 <= n; first += 64) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 64; i += Lanes::kLanes)
      word |= std::uint64_t{lanes.inside(values + first + i)} << i;
    *out++ = word;
  }
  if (first == n) return;
  std::uint64_t word = 0;
  for (std::size_t i = 0; first + i < n; ++i) {
    const T value = values[first + i];
    word |= std::uint64_t{value >= low && value <= high} << i;
  }
  *out = word;
}

}  // namespace

void filter_range_int32_avx2(const std::int32_t* values, std::size_t n, std::int32_t low,
                             std::int32_t high, std::uint64_t* out) {
  filter_range<Int32Lanes>(values, n, low, high, out);
}

void filter_range_int64_avx2(const std::int64_t* values, std::size_t n, std::int64_t low,
                             std::int64_t high, std::uint64_t* out) {
  filter_range<Int64Lanes>(values, n, low, high, out);
}

void filter_range_float32_avx2(const float* values, std::size_t n, float low, float high,
                               std::uint64_t* out) {
  filter_range<Float32Lanes>(values, n, low, high, out);
}

void filter_range_float64_avx2(const double* values, std::size_t n, double low, double high,
                               std::uint64_t* out) {
  filter_range<Float64Lanes>(values, n, low, high, out);
}

}  // namespace friesian::kernels
