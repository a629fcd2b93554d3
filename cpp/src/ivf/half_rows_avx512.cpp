#include <immintrin.h>

#include "ivf/half_rows.hpp"

namespace friesian::kernels {

namespace {

constexpr std::size_t kRowsAhead = 12;

__m512 add_ip(__m512 sum, __m512 query, __m512 row) { return _mm512_fmadd_ps(query, row, sum); }

__m512 add_l2(__m512 sum, __m512 query, __m512 row) {
  const __m512 gap = _mm512_sub_ps(query, row);
  return _mm512_fnmadd_ps(gap, gap, sum);
}

__m512 sixteen(const std::uint16_t* row) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)));
}

void fetch(const std::uint16_t* row, std::size_t dim) {
  const auto* at = reinterpret_cast<const char*>(row);
  for (std::size_t byte = 0; byte < dim * 2; byte += 64) _mm_prefetch(at + byte, _MM_HINT_T1);
}

template <__m512 (*Add)(__m512, __m512, __m512)>
void score(const float* query, const std::uint16_t* rows, std::size_t dim,
           const std::uint32_t* positions, std::size_t n, float* out) {
  const std::size_t whole = dim / 16 * 16;
  const auto rest = static_cast<__mmask16>((1u << (dim - whole)) - 1);
  const __m512 query_rest = _mm512_maskz_loadu_ps(rest, query + whole);
  for (std::size_t i = 0; i < n && i < kRowsAhead; ++i) fetch(rows + positions[i] * dim, dim);
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kRowsAhead < n) fetch(rows + positions[i + kRowsAhead] * dim, dim);
    const std::uint16_t* row = rows + positions[i] * dim;
    __m512 a = _mm512_setzero_ps(), b = a;
    std::size_t j = 0;
    for (; j + 32 <= whole; j += 32) {
      a = Add(a, _mm512_loadu_ps(query + j), sixteen(row + j));
      b = Add(b, _mm512_loadu_ps(query + j + 16), sixteen(row + j + 16));
    }
    if (j < whole) a = Add(a, _mm512_loadu_ps(query + j), sixteen(row + j));
    if (rest != 0)
      b = Add(b, query_rest, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(rest, row + whole)));
    out[i] = _mm512_reduce_add_ps(_mm512_add_ps(a, b));
  }
}

}  // namespace

void half_rows_ip_avx512(const float* query, const std::uint16_t* rows, std::size_t dim,
                         const std::uint32_t* positions, std::size_t n, float* out) {
  score<add_ip>(query, rows, dim, positions, n, out);
}

void half_rows_l2_avx512(const float* query, const std::uint16_t* rows, std::size_t dim,
                         const std::uint32_t* positions, std::size_t n, float* out) {
  score<add_l2>(query, rows, dim, positions, n, out);
}

}  // namespace friesian::kernels
