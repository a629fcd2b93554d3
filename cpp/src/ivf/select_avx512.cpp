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
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; i += 32) {
    std::uint32_t hits = hits_of(scores + i, n - i, bound);
    // Hits are rare, and compress-to-memory is microcoded on Zen 4.
    for (; hits != 0; hits &= hits - 1)
      out[kept++] =
          static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(std::countr_zero(hits));
  }
  return kept;
}

}  // namespace friesian::kernels
