#include <immintrin.h>

#include "ivf/filter_set.hpp"

namespace friesian::kernels {

void filter_set_int32_avx2(const std::int32_t* values, std::size_t n, std::int32_t base,
                           const std::uint64_t* table, std::uint32_t span, std::uint64_t* out) {
  const auto* words = reinterpret_cast<const int*>(table);
  const __m256i first_value = _mm256_set1_epi32(base);
  // Unsigned x < span is x <= span - 1 by the minimum of both; an empty table lets nothing in.
  const __m256i last = _mm256_set1_epi32(static_cast<int>(span - 1));
  const __m256i five_bits = _mm256_set1_epi32(31);
  std::size_t first = 0;
  for (; span > 0 && first + 64 <= n; first += 64) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 64; i += 8) {
      const __m256i at = _mm256_sub_epi32(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + first + i)), first_value);
      const __m256i inside = _mm256_cmpeq_epi32(_mm256_min_epu32(at, last), at);
      const __m256i found = _mm256_mask_i32gather_epi32(
          _mm256_setzero_si256(), words, _mm256_srli_epi32(at, 5), inside, sizeof(std::uint32_t));
      const __m256i bit =
          _mm256_sllv_epi32(found, _mm256_sub_epi32(five_bits, _mm256_and_si256(at, five_bits)));
      word |= std::uint64_t{static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(bit)))}
              << i;
    }
    *out++ = word;
  }
  if (first < n) filter_set_int32_scalar(values + first, n - first, base, table, span, out);
}

}  // namespace friesian::kernels
