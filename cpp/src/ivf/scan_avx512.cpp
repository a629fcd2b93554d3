#include <immintrin.h>

#include <bit>

#include "ivf/scan.hpp"

namespace friesian::kernels {

namespace {

__m512 add_ip(__m512 sum, __m512 query, __m512 row) { return _mm512_fmadd_ps(query, row, sum); }

__m512 add_l2(__m512 sum, __m512 query, __m512 row) {
  const __m512 gap = _mm512_sub_ps(query, row);
  return _mm512_fnmadd_ps(gap, gap, sum);
}

// The sums of four registers, in order.
__m128 sum_each(__m512 a, __m512 b, __m512 c, __m512 d) {
  const auto fold = [](__m512 v) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  };
  return _mm_hadd_ps(_mm_hadd_ps(fold(a), fold(b)), _mm_hadd_ps(fold(c), fold(d)));
}

// Four rows at a time: four independent chains hide the latency of the multiply-add. The lanes of
// a last, partial register are masked off, and so neither read nor counted.
template <__m512 (*Add)(__m512, __m512, __m512)>
void scan(const float* query, const float* rows, std::size_t n, std::size_t dim, float* out) {
  constexpr std::size_t kAhead = 6144;  // bytes; measured best between 6 and 8 KB
  const std::size_t whole = dim / 16 * 16;
  const auto rest = static_cast<__mmask16>((1u << (dim - whole)) - 1);
  const __m512 query_rest = _mm512_maskz_loadu_ps(rest, query + whole);
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4, rows += 4 * dim) {
    __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
    for (std::size_t j = 0; j < whole; j += 16) {
      const __m512 q = _mm512_loadu_ps(query + j);
      a = Add(a, q, _mm512_loadu_ps(rows + j));
      b = Add(b, q, _mm512_loadu_ps(rows + dim + j));
      c = Add(c, q, _mm512_loadu_ps(rows + 2 * dim + j));
      d = Add(d, q, _mm512_loadu_ps(rows + 3 * dim + j));
    }
    if (rest != 0) {
      a = Add(a, query_rest, _mm512_maskz_loadu_ps(rest, rows + whole));
      b = Add(b, query_rest, _mm512_maskz_loadu_ps(rest, rows + dim + whole));
      c = Add(c, query_rest, _mm512_maskz_loadu_ps(rest, rows + 2 * dim + whole));
      d = Add(d, query_rest, _mm512_maskz_loadu_ps(rest, rows + 3 * dim + whole));
    }
    for (std::size_t line = 0; line < 4 * dim * sizeof(float); line += 64)
      _mm_prefetch(reinterpret_cast<const char*>(rows) + kAhead + line, _MM_HINT_T1);
    _mm_storeu_ps(out + i, sum_each(a, b, c, d));
  }
  for (; i < n; ++i, rows += dim) {
    __m512 a = _mm512_setzero_ps();
    for (std::size_t j = 0; j < whole; j += 16)
      a = Add(a, _mm512_loadu_ps(query + j), _mm512_loadu_ps(rows + j));
    if (rest != 0) a = Add(a, query_rest, _mm512_maskz_loadu_ps(rest, rows + whole));
    out[i] = _mm_cvtss_f32(sum_each(a, a, a, a));
  }
}

}  // namespace

void scan_ip_avx512(const float* query, const float* rows, std::size_t n, std::size_t dim,
                    float* out) {
  scan<add_ip>(query, rows, n, dim, out);
}

void scan_l2_avx512(const float* query, const float* rows, std::size_t n, std::size_t dim,
                    float* out) {
  scan<add_l2>(query, rows, n, dim, out);
}

std::size_t select_at_least_avx512(const float* scores, std::size_t n, float least,
                                   std::uint32_t* out) {
  const __m512 bound = _mm512_set1_ps(least);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; i += 16) {
    const std::size_t left = n - i;
    const auto lanes = static_cast<__mmask16>(left >= 16 ? 0xFFFFu : (1u << left) - 1);
    const __m512 score = _mm512_maskz_loadu_ps(lanes, scores + i);
    unsigned hits = _mm512_mask_cmp_ps_mask(lanes, score, bound, _CMP_GE_OQ);
    // Hits are rare once the bound is good, and compress-to-memory is microcoded on Zen 4.
    for (; hits != 0; hits &= hits - 1)
      out[kept++] =
          static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(std::countr_zero(hits));
  }
  return kept;
}

}  // namespace friesian::kernels
