#include <immintrin.h>

#include "rows/row_turn.hpp"

namespace friesian::kernels {

namespace {

// Four words of rows i and i + 4, in the two halves of a register.
__m256i pair(const RowView* rows, std::size_t i, std::size_t offset) {
  const auto half = [offset](const RowView& row) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(row.data + offset));
  };
  return _mm256_inserti128_si256(_mm256_castsi128_si256(half(rows[i])), half(rows[i + 4]), 1);
}

// Four words of eight rows to place `first` of four columns; no shuffle crosses the halves.
void turn_four(const RowView* rows, std::size_t offset, unsigned char* const* to,
               std::size_t first) {
  const auto put = [to, first](std::size_t column, __m256i eight) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to[column] + 4 * first), eight);
  };
  const __m256i a = pair(rows, 0, offset), b = pair(rows, 1, offset);
  const __m256i c = pair(rows, 2, offset), d = pair(rows, 3, offset);
  const __m256i ab_low = _mm256_unpacklo_epi32(a, b), ab_high = _mm256_unpackhi_epi32(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi32(c, d), cd_high = _mm256_unpackhi_epi32(c, d);
  put(0, _mm256_unpacklo_epi64(ab_low, cd_low));
  put(1, _mm256_unpackhi_epi64(ab_low, cd_low));
  put(2, _mm256_unpacklo_epi64(ab_high, cd_high));
  put(3, _mm256_unpackhi_epi64(ab_high, cd_high));
}

}  // namespace

void row_turn_avx2(const RowView* rows, std::size_t n, std::size_t offset,
                   unsigned char* const* to) {
  for (std::size_t row = 0; row < n; row += kTile) {
    turn_four(rows + row, offset, to, row);
    turn_four(rows + row, offset + 16, to + 4, row);
  }
}

}  // namespace friesian::kernels
