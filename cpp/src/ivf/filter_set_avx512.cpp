#include <immintrin.h>

#include "ivf/filter_set.hpp"

namespace friesian::kernels {

void filter_set_int32_avx512(const std::int32_t* values, std::size_t n, std::int32_t base,
                             const std::uint64_t* table, std::uint32_t span, std::uint64_t* out) {
  const __m512i first_value = _mm512_set1_epi32(base);
  const __m512i bits = _mm512_set1_epi32(static_cast<int>(span));
  const __m512i five_bits = _mm512_set1_epi32(31);
  const __m512i one = _mm512_set1_epi32(1);
  std::size_t first = 0;
  for (; first + 64 <= n; first += 64) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 64; i += 16) {
      const __m512i at = _mm512_sub_epi32(_mm512_loadu_si512(values + first + i), first_value);
      const __mmask16 inside = _mm512_cmplt_epu32_mask(at, bits);
      const __m512i found = _mm512_mask_i32gather_epi32(
          _mm512_setzero_si512(), inside, _mm512_srli_epi32(at, 5), table, sizeof(std::uint32_t));
      const __m512i bit = _mm512_sllv_epi32(one, _mm512_and_si512(at, five_bits));
      word |= std::uint64_t{_mm512_mask_test_epi32_mask(inside, found, bit)} << i;
    }
    *out++ = word;
  }
  if (first < n) filter_set_int32_scalar(values + first, n - first, base, table, span, out);
}

}  // namespace friesian::kernels
