#include <immintrin.h>

#include "ivf/exact_rows.hpp"

namespace friesian::kernels {

namespace {

constexpr std::size_t kRowsAhead = 4;

__m512d add_ip(__m512d sum, __m512d query, __m512d row) { return _mm512_fmadd_pd(query, row, sum); }

__m512d add_l2(__m512d sum, __m512d query, __m512d row) {
  const __m512d gap = _mm512_sub_pd(query, row);
  return _mm512_fnmadd_pd(gap, gap, sum);
}

// See row_rest.hpp: a half's exponent, at least -14, less 24.
__m512 with_rests(__m256i halves, __m256i rests) {
  const __m512 value = _mm512_cvtph_ps(halves);
  const __m512i exponent =
      _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(value), _mm512_set1_epi32(0x7F800000)),
                       _mm512_set1_epi32((127 - 14) << 23));
  const __m512 unit = _mm512_castsi512_ps(_mm512_sub_epi32(exponent, _mm512_set1_epi32(24 << 23)));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(rests)), unit, value);
}

__m512d low(__m512 values) { return _mm512_cvtps_pd(_mm512_castps512_ps256(values)); }
__m512d high(__m512 values) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(values, 1)); }

template <__m512d (*Add)(__m512d, __m512d, __m512d)>
void score(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
           std::size_t dim, const std::uint32_t* positions, std::size_t n, double* out) {
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kRowsAhead < n) {
      const auto* next = reinterpret_cast<const char*>(rests + positions[i + kRowsAhead] * dim);
      for (std::size_t byte = 0; byte < dim * 2; byte += 64) _mm_prefetch(next + byte, _MM_HINT_T0);
    }
    const std::size_t first = positions[i] * dim;
    __m512d a = _mm512_setzero_pd(), b = a;
    for (std::size_t j = 0; j < dim; j += 16) {
      const std::size_t left = dim - j;
      const auto lanes = left >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1u << left) - 1);
      const __m512 row = with_rests(_mm256_maskz_loadu_epi16(lanes, rows + first + j),
                                    _mm256_maskz_loadu_epi16(lanes, rests + first + j));
      const __m512 asked = _mm512_maskz_loadu_ps(lanes, query + j);
      a = Add(a, low(asked), low(row));
      b = Add(b, high(asked), high(row));
    }
    out[i] = _mm512_reduce_add_pd(_mm512_add_pd(a, b));
  }
}

}  // namespace

void exact_rows_ip_avx512(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
                          std::size_t dim, const std::uint32_t* positions, std::size_t n,
                          double* out) {
  score<add_ip>(query, rows, rests, dim, positions, n, out);
}

void exact_rows_l2_avx512(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
                          std::size_t dim, const std::uint32_t* positions, std::size_t n,
                          double* out) {
  score<add_l2>(query, rows, rests, dim, positions, n, out);
}

}  // namespace friesian::kernels
