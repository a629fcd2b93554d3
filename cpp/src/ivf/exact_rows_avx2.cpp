#include <immintrin.h>

#include <cstring>

#include "ivf/exact_rows.hpp"

namespace friesian::kernels {

namespace {

constexpr std::size_t kRowsAhead = 4;

__m256d add_ip(__m256d sum, __m256d query, __m256d row) { return _mm256_fmadd_pd(query, row, sum); }

__m256d add_l2(__m256d sum, __m256d query, __m256d row) {
  const __m256d gap = _mm256_sub_pd(query, row);
  return _mm256_fnmadd_pd(gap, gap, sum);
}

// See row_rest.hpp: a half's exponent, at least -14, less 24.
__m256 with_rests(__m128i halves, __m128i rests) {
  const __m256 value = _mm256_cvtph_ps(halves);
  const __m256i exponent =
      _mm256_max_epi32(_mm256_and_si256(_mm256_castps_si256(value), _mm256_set1_epi32(0x7F800000)),
                       _mm256_set1_epi32((127 - 14) << 23));
  const __m256 unit = _mm256_castsi256_ps(_mm256_sub_epi32(exponent, _mm256_set1_epi32(24 << 23)));
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(rests)), unit, value);
}

template <typename T>
__m128i load(const T* from, std::size_t count) {
  if (count >= 8) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  alignas(16) T part[8] = {};
  std::memcpy(part, from, count * sizeof *from);
  return _mm_load_si128(reinterpret_cast<const __m128i*>(part));
}

__m256 load(const float* from, std::size_t count) {
  if (count >= 8) return _mm256_loadu_ps(from);
  alignas(32) float part[8] = {};
  std::memcpy(part, from, count * sizeof *from);
  return _mm256_load_ps(part);
}

double sum_of(__m256d sums) {
  const __m128d half = _mm_add_pd(_mm256_castpd256_pd128(sums), _mm256_extractf128_pd(sums, 1));
  return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

template <__m256d (*Add)(__m256d, __m256d, __m256d)>
void score(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
           std::size_t dim, const std::uint32_t* positions, std::size_t n, double* out) {
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kRowsAhead < n) {
      const auto* next = reinterpret_cast<const char*>(rests + positions[i + kRowsAhead] * dim);
      for (std::size_t byte = 0; byte < dim * 2; byte += 64) _mm_prefetch(next + byte, _MM_HINT_T0);
    }
    const std::size_t first = positions[i] * dim;
    __m256d a = _mm256_setzero_pd(), b = a;
    for (std::size_t j = 0; j < dim; j += 8) {
      const __m256 row =
          with_rests(load(rows + first + j, dim - j), load(rests + first + j, dim - j));
      const __m256 asked = load(query + j, dim - j);
      a = Add(a, _mm256_cvtps_pd(_mm256_castps256_ps128(asked)),
              _mm256_cvtps_pd(_mm256_castps256_ps128(row)));
      b = Add(b, _mm256_cvtps_pd(_mm256_extractf128_ps(asked, 1)),
              _mm256_cvtps_pd(_mm256_extractf128_ps(row, 1)));
    }
    out[i] = sum_of(_mm256_add_pd(a, b));
  }
}

}  // namespace

void exact_rows_ip_avx2(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
                        std::size_t dim, const std::uint32_t* positions, std::size_t n,
                        double* out) {
  score<add_ip>(query, rows, rests, dim, positions, n, out);
}

void exact_rows_l2_avx2(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
                        std::size_t dim, const std::uint32_t* positions, std::size_t n,
                        double* out) {
  score<add_l2>(query, rows, rests, dim, positions, n, out);
}

}  // namespace friesian::kernels
