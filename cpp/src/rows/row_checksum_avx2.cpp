#include <immintrin.h>

#include "rows/row_stripes.hpp"

namespace friesian::kernels {

namespace {

__m256i products(__m256i words, __m256i keys) {
  const __m256i sums = _mm256_add_epi32(words, keys);
  return _mm256_mul_epu32(sums, _mm256_srli_epi64(sums, 32));
}

std::uint64_t stripe_sum(const unsigned char* words, std::size_t n) {
  const auto key = [](std::size_t i) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(kRowKeyTable.words + i));
  };
  __m256i sum = _mm256_setzero_si256();
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const auto four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + 8 * i));
    sum = _mm256_add_epi64(sum, products(four, key(i)));
  }
  if (i < n) {
    const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(n - i)),
                                            _mm256_setr_epi64x(0, 1, 2, 3));
    const __m256i rest =
        _mm256_maskload_epi64(reinterpret_cast<const long long*>(words + 8 * i), mask);
    sum = _mm256_add_epi64(sum, _mm256_and_si256(products(rest, key(i)), mask));
  }
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(half)) +
         static_cast<std::uint64_t>(_mm_extract_epi64(half, 1));
}

}  // namespace

void row_checksums_avx2(const RowView* rows, std::size_t n, std::uint64_t* checksums) {
  checksums_of(rows, n, stripe_sum, checksums);
}

}  // namespace friesian::kernels
