#include <immintrin.h>

#include "ivf/filter_range.hpp"

namespace friesian::kernels {

namespace {

// One register of values against the bounds: the lanes that are inside, of those in `lanes`. What
// lies behind the last value is masked off, and so not read.
struct Int32Lanes {
  static constexpr std::size_t kLanes = 16;
  __m512i low, high;
  Int32Lanes(std::int32_t from, std::int32_t to)
      : low(_mm512_set1_epi32(from)), high(_mm512_set1_epi32(to)) {}
  std::uint64_t inside(const std::int32_t* at, std::uint64_t lanes) const {
    const auto mask = static_cast<__mmask16>(lanes);
    const __m512i value = _mm512_maskz_loadu_epi32(mask, at);
    return _mm512_mask_cmple_epi32_mask(_mm512_mask_cmpge_epi32_mask(mask, value, low), value,
                                        high);
  }
};

struct Int64Lanes {
  static constexpr std::size_t kLanes = 8;
  __m512i low, high;
  Int64Lanes(std::int64_t from, std::int64_t to)
      : low(_mm512_set1_epi64(from)), high(_mm512_set1_epi64(to)) {}
  std::uint64_t inside(const std::int64_t* at, std::uint64_t lanes) const {
    const auto mask = static_cast<__mmask8>(lanes);
    const __m512i value = _mm512_maskz_loadu_epi64(mask, at);
    return _mm512_mask_cmple_epi64_mask(_mm512_mask_cmpge_epi64_mask(mask, value, low), value,
                                        high);
  }
};

struct Float32Lanes {
  static constexpr std::size_t kLanes = 16;
  __m512 low, high;
  Float32Lanes(float from, float to) : low(_mm512_set1_ps(from)), high(_mm512_set1_ps(to)) {}
  std::uint64_t inside(const float* at, std::uint64_t lanes) const {
    const auto mask = static_cast<__mmask16>(lanes);
    const __m512 value = _mm512_maskz_loadu_ps(mask, at);
    return _mm512_mask_cmp_ps_mask(_mm512_mask_cmp_ps_mask(mask, value, low, _CMP_GE_OQ), value,
                                   high, _CMP_LE_OQ);
  }
};

struct Float64Lanes {
  static constexpr std::size_t kLanes = 8;
  __m512d low, high;
  Float64Lanes(double from, double to) : low(_mm512_set1_pd(from)), high(_mm512_set1_pd(to)) {}
  std::uint64_t inside(const double* at, std::uint64_t lanes) const {
    const auto mask = static_cast<__mmask8>(lanes);
    const __m512d value = _mm512_maskz_loadu_pd(mask, at);
    return _mm512_mask_cmp_pd_mask(_mm512_mask_cmp_pd_mask(mask, value, low, _CMP_GE_OQ), value,
                                   high, _CMP_LE_OQ);
  }
};

template <typename Lanes, typename T>
void filter_range(const T* values, std::size_t n, T low, T high, std::uint64_t* out) {
  constexpr std::uint64_t kAll = (std::uint64_t{1} << Lanes::kLanes) - 1;
  const Lanes lanes(low, high);
  std::size_t first = 0;
  for (; first + 64 <= n; first += 64) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 64; i += Lanes::kLanes)
      word |= lanes.inside(values + first + i, kAll) << i;
    *out++ = word;
  }
  if (first == n) return;
  std::uint64_t word = 0;
  for (std::size_t i = 0; first + i < n; i += Lanes::kLanes) {
    const std::size_t left = n - first - i;
    const std::uint64_t some = left >= Lanes::kLanes ? kAll : (std::uint64_t{1} << left) - 1;
    word |= lanes.inside(values + first + i, some) << i;
  }
  *out = word;
}

}  // namespace

void filter_range_int32_avx512(const std::int32_t* values, std::size_t n, std::int32_t low,
                               std::int32_t high, std::uint64_t* out) {
  filter_range<Int32Lanes>(values, n, low, high, out);
}

void filter_range_int64_avx512(const std::int64_t* values, std::size_t n, std::int64_t low,
                               std::int64_t high, std::uint64_t* out) {
  filter_range<Int64Lanes>(values, n, low, high, out);
}

void filter_range_float32_avx512(const float* values, std::size_t n, float low, float high,
                                 std::uint64_t* out) {
  filter_range<Float32Lanes>(values, n, low, high, out);
}

void filter_range_float64_avx512(const double* values, std::size_t n, double low, double high,
                                 std::uint64_t* out) {
  filter_range<Float64Lanes>(values, n, low, high, out);
}

}  // namespace friesian::kernels
