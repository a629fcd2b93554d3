#include <immintrin.h>

#include "ivf/fast_scan.hpp"

namespace friesian::kernels {

namespace {

// `Blocks` blocks side by side: a table is loaded once for all of them.
template <std::size_t Blocks>
void scan(const FastScanList& list, const std::uint8_t* codes, const std::int16_t* norms,
          const std::uint8_t* ahead, std::int16_t* out) {
  const __m512i low_half = _mm512_set1_epi8(15);
  const std::size_t bytes = list.quads * 64;
  // As on AVX2: bytes are summed as 16-bit words, the odd ones once more by themselves.
  __m512i all[Blocks], odd[Blocks];
  for (std::size_t b = 0; b < Blocks; ++b) all[b] = odd[b] = _mm512_setzero_si512();
  for (std::size_t j = 0; j < list.quads; ++j) {
    const __m512i table = _mm512_loadu_si512(list.tables + j * kQuadTableBytes);
    const __m512i high_table = _mm512_loadu_si512(list.tables + j * kQuadTableBytes + 64);
    for (std::size_t b = 0; b < Blocks; ++b) {
      const std::size_t at = b * bytes + j * 64;
      const __m512i code = _mm512_loadu_si512(codes + at);
      const __m512i low = _mm512_and_si512(code, low_half);
      const __m512i high = _mm512_and_si512(_mm512_srli_epi16(code, 4), low_half);
      const __m512i sum =
          _mm512_add_epi8(_mm512_shuffle_epi8(table, low), _mm512_shuffle_epi8(high_table, high));
      all[b] = _mm512_add_epi16(all[b], sum);
      odd[b] = _mm512_add_epi16(odd[b], _mm512_srli_epi16(sum, 8));
      _mm_prefetch(reinterpret_cast<const char*>(ahead + at), _MM_HINT_T1);
    }
  }
  const auto fold = [](__m512i sums) {
    return _mm256_add_epi16(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
  };
  for (std::size_t b = 0; b < Blocks; ++b) {
    const __m256i odds = fold(odd[b]);
    const __m256i evens = _mm256_sub_epi16(fold(all[b]), _mm256_slli_epi16(odds, 8));
    const __m256i first = _mm256_unpacklo_epi16(evens, odds);  // rows 0-7 and 16-23
    const __m256i second = _mm256_unpackhi_epi16(evens, odds);
    const __m512i pairs = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
    __m512i score =
        _mm512_adds_epi16(_mm512_shuffle_i64x2(pairs, pairs, 0xD8), _mm512_set1_epi16(list.bias));
    if (norms != nullptr)
      score = _mm512_subs_epi16(score, _mm512_mulhrs_epi16(_mm512_loadu_si512(norms + b * 32),
                                                           _mm512_set1_epi16(list.norm_scale)));
    _mm512_storeu_si512(out + b * 32, _mm512_max_epi16(score, _mm512_set1_epi16(-32767)));
  }
}

}  // namespace

void fast_scan_avx512(const FastScanList& list, const std::uint8_t* codes,
                      const std::int16_t* norms, std::size_t blocks, const std::uint8_t* ahead,
                      std::int16_t* out) {
  const std::size_t bytes = list.quads * 64;
  std::size_t block = 0;
  for (; block + 4 <= blocks; block += 4)
    scan<4>(list, codes + block * bytes, norms == nullptr ? nullptr : norms + block * 32,
            ahead + block * bytes, out + block * 32);
  for (; block < blocks; ++block)
    scan<1>(list, codes + block * bytes, norms == nullptr ? nullptr : norms + block * 32,
            ahead + block * bytes, out + block * 32);
}

}  // namespace friesian::kernels
