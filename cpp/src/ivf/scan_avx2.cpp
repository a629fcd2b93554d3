#include <immintrin.h>

#include <bit>

#include "ivf/scan.hpp"

namespace friesian::kernels {

namespace {

__m256 add_ip(__m256 sum, __m256 query, __m256 row) { return _mm256_fmadd_ps(query, row, sum); }

__m256 add_l2(__m256 sum, __m256 query, __m256 row) {
  const __m256 gap = _mm256_sub_ps(query, row);
  return _mm256_fnmadd_ps(gap, gap, sum);
}

// The first `count` lanes on; `count` is less than 8.
__m256i lanes_below(std::size_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
}

// The sums of four registers, in order.
__m128 sum_each(__m256 a, __m256 b, __m256 c, __m256 d) {
  const __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

// Four rows at a time: four independent chains hide the latency of the multiply-add. The lanes of
// a last, partial register are masked off, and so neither read nor counted.
template <__m256 (*Add)(__m256, __m256, __m256)>
void scan(const float* query, const float* rows, std::size_t n, std::size_t dim, float* out) {
  constexpr std::size_t kAhead = 6144;  // bytes; measured best between 6 and 8 KB
  const std::size_t whole = dim / 8 * 8;
  const __m256i rest = lanes_below(dim - whole);
  const __m256 query_rest = _mm256_maskload_ps(query + whole, rest);
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4, rows += 4 * dim) {
    __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
    for (std::size_t j = 0; j < whole; j += 8) {
      const __m256 q = _mm256_loadu_ps(query + j);
      a = Add(a, q, _mm256_loadu_ps(rows + j));
      b = Add(b, q, _mm256_loadu_ps(rows + dim + j));
      c = Add(c, q, _mm256_loadu_ps(rows + 2 * dim + j));
      d = Add(d, q, _mm256_loadu_ps(rows + 3 * dim + j));
    }
    if (whole != dim) {
      a = Add(a, query_rest, _mm256_maskload_ps(rows + whole, rest));
      b = Add(b, query_rest, _mm256_maskload_ps(rows + dim + whole, rest));
      c = Add(c, query_rest, _mm256_maskload_ps(rows + 2 * dim + whole, rest));
      d = Add(d, query_rest, _mm256_maskload_ps(rows + 3 * dim + whole, rest));
    }
    for (std::size_t line = 0; line < 4 * dim * sizeof(float); line += 64)
      _mm_prefetch(reinterpret_cast<const char*>(rows) + kAhead + line, _MM_HINT_T1);
    _mm_storeu_ps(out + i, sum_each(a, b, c, d));
  }
  for (; i < n; ++i, rows += dim) {
    __m256 a = _mm256_setzero_ps();
    for (std::size_t j = 0; j < whole; j += 8)
      a = Add(a, _mm256_loadu_ps(query + j), _mm256_loadu_ps(rows + j));
    if (whole != dim) a = Add(a, query_rest, _mm256_maskload_ps(rows + whole, rest));
    out[i] = _mm_cvtss_f32(sum_each(a, a, a, a));
  }
}

}  // namespace

void scan_ip_avx2(const float* query, const float* rows, std::size_t n, std::size_t dim,
                  float* out) {
  scan<add_ip>(query, rows, n, dim, out);
}

void scan_l2_avx2(const float* query, const float* rows, std::size_t n, std::size_t dim,
                  float* out) {
  scan<add_l2>(query, rows, n, dim, out);
}

std::size_t select_at_least_avx2(const float* scores, std::size_t n, float least,
                                 std::uint32_t* out) {
  const __m256 bound = _mm256_set1_ps(least);
  std::size_t kept = 0, i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 hit = _mm256_cmp_ps(_mm256_loadu_ps(scores + i), bound, _CMP_GE_OQ);
    auto hits = static_cast<unsigned>(_mm256_movemask_ps(hit));
    for (; hits != 0; hits &= hits - 1)
      out[kept++] =
          static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(std::countr_zero(hits));
  }
  for (; i < n; ++i)
    if (scores[i] >= least) out[kept++] = static_cast<std::uint32_t>(i);
  return kept;
}

}  // namespace friesian::kernels
