#include <immintrin.h>

#include <bit>

#include "ivf/select.hpp"

namespace friesian::kernels {

namespace {

// Which of the up to 32 scores from `scores` on reach the bound.
std::uint32_t hits_of(const std::int16_t* scores, std::size_t n, __m512i bound) {
  const __mmask32 lanes = n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1;
  return _mm512_mask_cmpge_epi16_mask(lanes, _mm512_maskz_loadu_epi16(lanes, scores), bound);
}

}  // namespace

std::size_t count_at_least_avx512(const std::int16_t* scores, std::size_t n, std::int16_t least) {
  const __m512i bound = _mm512_set1_epi16(least);
  std::size_t count = 0, i = 0;
  for (; i + 64 <= n; i += 64) {
    const std::uint64_t first = _mm512_cmpge_epi16_mask(_mm512_loadu_si512(scores + i), bound);
    const std::uint64_t second =
        _mm512_cmpge_epi16_mask(_mm512_loadu_si512(scores + i + 32), bound);
    count += static_cast<std::size_t>(std::popcount(first | second << 32));
  }
  for (; i < n; i += 32)
    count += static_cast<std::size_t>(std::popcount(hits_of(scores + i, n - i, bound)));
  return count;
}

std::size_t select_at_least_avx512(const std::int16_t* scores, std::size_t n, std::int16_t least,
                                   std::uint32_t* out) {
  const __m512i bound = _mm512_set1_epi16(least);
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; i += 32) {
    const std::uint32_t hits = hits_of(scores + i, n - i, bound);
    if (hits == 0) continue;
    // Compressed in a register and stored whole: compress-to-memory is microcoded on Zen 4.
    const __m512i places = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(i)));
    const auto first = static_cast<__mmask16>(hits), second = static_cast<__mmask16>(hits >> 16);
    _mm512_storeu_si512(out + kept, _mm512_maskz_compress_epi32(first, places));
    kept += static_cast<std::size_t>(std::popcount(hits & 0xFFFFu));
    _mm512_storeu_si512(out + kept, _mm512_maskz_compress_epi32(
                                        second, _mm512_add_epi32(places, _mm512_set1_epi32(16))));
    kept += static_cast<std::size_t>(std::popcount(hits >> 16));
  }
  return kept;
}

}  // namespace friesian::kernels
