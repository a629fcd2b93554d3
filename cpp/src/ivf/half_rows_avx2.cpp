#include <immintrin.h>

#include <cstring>

#include "ivf/half_rows.hpp"

namespace friesian::kernels {

namespace {

constexpr std::size_t kRowsAhead = 12;

__m256 add_ip(__m256 sum, __m256 query, __m256 row) { return _mm256_fmadd_ps(query, row, sum); }

__m256 add_l2(__m256 sum, __m256 query, __m256 row) {
  const __m256 gap = _mm256_sub_ps(query, row);
  return _mm256_fnmadd_ps(gap, gap, sum);
}

__m256 eight(const std::uint16_t* row) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
}

// The `count` numbers from `row` on, at most 7, then zeros.
__m256 fewer(const std::uint16_t* row, std::size_t count) {
  alignas(16) std::uint16_t part[8] = {};
  std::memcpy(part, row, count * sizeof *row);
  return eight(part);
}

__m256 fewer(const float* row, std::size_t count) {
  alignas(32) float part[8] = {};
  std::memcpy(part, row, count * sizeof *row);
  return _mm256_load_ps(part);
}

float sum_of(__m256 sums) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

void fetch(const std::uint16_t* row, std::size_t dim) {
  const auto* at = reinterpret_cast<const char*>(row);
  for (std::size_t byte = 0; byte < dim * 2; byte += 64) _mm_prefetch(at + byte, _MM_HINT_T1);
}

template <__m256 (*Add)(__m256, __m256, __m256)>
void score(const float* query, const std::uint16_t* rows, std::size_t dim,
           const std::uint32_t* positions, std::size_t n, float* out) {
  const std::size_t whole = dim / 8 * 8;
  const __m256 query_rest = fewer(query + whole, dim - whole);
  for (std::size_t i = 0; i < n && i < kRowsAhead; ++i) fetch(rows + positions[i] * dim, dim);
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kRowsAhead < n) fetch(rows + positions[i + kRowsAhead] * dim, dim);
    const std::uint16_t* row = rows + positions[i] * dim;
    __m256 a = _mm256_setzero_ps(), b = a;
    std::size_t j = 0;
    for (; j + 16 <= whole; j += 16) {
      a = Add(a, _mm256_loadu_ps(query + j), eight(row + j));
      b = Add(b, _mm256_loadu_ps(query + j + 8), eight(row + j + 8));
    }
    if (j < whole) a = Add(a, _mm256_loadu_ps(query + j), eight(row + j));
    if (whole < dim) b = Add(b, query_rest, fewer(row + whole, dim - whole));
    out[i] = sum_of(_mm256_add_ps(a, b));
  }
}

}  // namespace

void half_rows_ip_avx2(const float* query, const std::uint16_t* rows, std::size_t dim,
                       const std::uint32_t* positions, std::size_t n, float* out) {
  score<add_ip>(query, rows, dim, positions, n, out);
}

void half_rows_l2_avx2(const float* query, const std::uint16_t* rows, std::size_t dim,
                       const std::uint32_t* positions, std::size_t n, float* out) {
  score<add_l2>(query, rows, dim, positions, n, out);
}

}  // namespace friesian::kernels
