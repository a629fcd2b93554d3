#include <immintrin.h>

#include <algorithm>
#include <bit>

#include "ivf/select.hpp"

namespace friesian::kernels {

namespace {

// All bits set where a score is below the bound.
__m256i below(const std::int16_t* scores, __m256i bound) {
  return _mm256_cmpgt_epi16(bound, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scores)));
}

std::size_t sum_of(__m256i words) {
  alignas(32) std::uint16_t each[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(each), words);
  std::size_t sum = 0;
  for (const std::uint16_t word : each) sum += word;
  return sum;
}

}  // namespace

std::size_t count_at_least_avx2(const std::int16_t* scores, std::size_t n, std::int16_t least) {
  constexpr std::size_t kTurn = 16 * 65535;  // a lane counts at most 65,535
  const __m256i bound = _mm256_set1_epi16(least);
  std::size_t count_below = 0, i = 0;
  while (i + 16 <= n) {
    const std::size_t end = std::min(n, i + kTurn);
    __m256i sums = _mm256_setzero_si256();
    for (; i + 16 <= end; i += 16) sums = _mm256_sub_epi16(sums, below(scores + i, bound));
    count_below += sum_of(sums);
  }
  for (; i < n; ++i) count_below += scores[i] < least ? 1 : 0;
  return n - count_below;
}

std::size_t select_at_least_avx2(const std::int16_t* scores, std::size_t n, std::int16_t least,
                                 std::uint32_t* out) {
  const __m256i bound = _mm256_set1_epi16(least);
  std::size_t kept = 0, i = 0;
  for (; i + 16 <= n; i += 16) {
    // Two bits a score; every second one is enough.
    auto hits =
        ~static_cast<unsigned>(_mm256_movemask_epi8(below(scores + i, bound))) & 0x55555555u;
    for (; hits != 0; hits &= hits - 1)
      out[kept++] =
          static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(std::countr_zero(hits)) / 2;
  }
  for (; i < n; ++i)
    if (scores[i] >= least) out[kept++] = static_cast<std::uint32_t>(i);
  return kept;
}

}  // namespace friesian::kernels
