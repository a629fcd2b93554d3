#include <immintrin.h>

#include "ivf/fast_scan.hpp"

namespace friesian::kernels {

namespace {

__m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

}  // namespace

void fast_scan_avx2(const FastScanList& list, const std::uint8_t* codes, const std::int16_t* norms,
                    std::size_t blocks, const std::uint8_t* ahead, std::int16_t* out) {
  const __m256i low_half = _mm256_set1_epi8(15);
  const __m256i bias = _mm256_set1_epi16(list.bias);
  const __m256i scale = _mm256_set1_epi16(list.norm_scale);
  for (std::size_t block = 0; block < blocks; ++block, out += 32) {
    // Entries are at most 127: two make a byte. Bytes are summed as 16-bit words, and the odd ones
    // once more by themselves, to be taken out again at the end.
    __m256i all = _mm256_setzero_si256(), odd = all;
    const std::uint8_t* tables = list.tables;
    for (std::size_t j = 0; j < list.quads; ++j, tables += kQuadTableBytes) {
      for (std::size_t half = 0; half < 64; half += 32) {
        const __m256i code = load(codes + half);
        const __m256i low = _mm256_and_si256(code, low_half);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(code, 4), low_half);
        const __m256i sum = _mm256_add_epi8(_mm256_shuffle_epi8(load(tables + half), low),
                                            _mm256_shuffle_epi8(load(tables + 64 + half), high));
        all = _mm256_add_epi16(all, sum);
        odd = _mm256_add_epi16(odd, _mm256_srli_epi16(sum, 8));
      }
      _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
      codes += 64;
      ahead += 64;
    }
    const __m256i even = _mm256_sub_epi16(all, _mm256_slli_epi16(odd, 8));
    const __m256i first = _mm256_unpacklo_epi16(even, odd);  // rows 0-7 and 16-23
    const __m256i second = _mm256_unpackhi_epi16(even, odd);
    __m256i halves[2] = {_mm256_permute2x128_si256(first, second, 0x20),
                         _mm256_permute2x128_si256(first, second, 0x31)};
    for (std::size_t i = 0; i < 2; ++i) {
      __m256i score = _mm256_adds_epi16(halves[i], bias);
      if (norms != nullptr)
        score =
            _mm256_subs_epi16(score, _mm256_mulhrs_epi16(load(norms + block * 32 + i * 16), scale));
      score = _mm256_max_epi16(score, _mm256_set1_epi16(-32767));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i * 16), score);
    }
  }
}

}  // namespace friesian::kernels
