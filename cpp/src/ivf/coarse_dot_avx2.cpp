#include <immintrin.h>

#include <cstring>

#include "ivf/coarse_dot.hpp"

namespace friesian::kernels {

namespace {

// The multiply-add of bytes wants one side unsigned: the query's sign moves to the codes. Two
// products of at most 127 * 127 stay below 2^15, so nothing saturates.
__m256i add_products(__m256i sum, __m256i query, const std::int8_t* codes) {
  const __m256i code = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(query), _mm256_sign_epi8(code, query));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

}  // namespace

void coarse_dot_avx2(const std::int8_t* query, const std::int8_t* codes, std::size_t blocks,
                     std::size_t groups, std::int32_t* out) {
  for (std::size_t block = 0; block < blocks; ++block, out += 16) {
    __m256i low = _mm256_setzero_si256(), high = low;
    for (std::size_t g = 0; g < groups; ++g, codes += 64) {
      std::int32_t four;
      std::memcpy(&four, query + g * 4, sizeof four);
      const __m256i asked = _mm256_set1_epi32(four);
      low = add_products(low, asked, codes);
      high = add_products(high, asked, codes + 32);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 8), high);
  }
}

}  // namespace friesian::kernels
