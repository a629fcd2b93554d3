#include <immintrin.h>

#include <cstring>

#include "ivf/coarse_dot.hpp"

namespace friesian::kernels {

namespace {

// `Blocks` blocks side by side, so that a group of the query is prepared once for all of them. As
// on AVX2 the query's sign moves to the codes, and nothing saturates.
template <std::size_t Blocks>
void dot_blocks(const std::int8_t* query, const std::int8_t* codes, std::size_t groups,
                std::int32_t* out) {
  const __m512i ones = _mm512_set1_epi16(1);
  __m512i sums[Blocks];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (std::size_t g = 0; g < groups; ++g) {
    std::int32_t four;
    std::memcpy(&four, query + g * 4, sizeof four);
    const __m512i asked = _mm512_set1_epi32(four);
    const __mmask64 negative = _mm512_movepi8_mask(asked);
    const __m512i size = _mm512_abs_epi8(asked);
    for (std::size_t b = 0; b < Blocks; ++b) {
      const __m512i code = _mm512_loadu_si512(codes + (b * groups + g) * 64);
      const __m512i turned = _mm512_mask_sub_epi8(code, negative, _mm512_setzero_si512(), code);
      sums[b] =
          _mm512_add_epi32(sums[b], _mm512_madd_epi16(_mm512_maddubs_epi16(size, turned), ones));
    }
  }
  for (std::size_t b = 0; b < Blocks; ++b) _mm512_storeu_si512(out + b * 16, sums[b]);
}

}  // namespace

void coarse_dot_avx512(const std::int8_t* query, const std::int8_t* codes, std::size_t blocks,
                       std::size_t groups, std::int32_t* out) {
  std::size_t block = 0;
  for (; block + 4 <= blocks; block += 4)
    dot_blocks<4>(query, codes + block * groups * 64, groups, out + block * 16);
  for (; block < blocks; ++block)
    dot_blocks<1>(query, codes + block * groups * 64, groups, out + block * 16);
}

}  // namespace friesian::kernels
