#include "common/bytes.hpp"
#include "rows/row_turn.hpp"

namespace friesian::kernels {

namespace {

// Four lanes in one baseline register.
using Four [[gnu::vector_size(16)]] = std::uint32_t;

// Lanes of two vectors, b's from 4 on. Put together from elements, GCC would load and move each.
template <int... Lanes>
Four shuffled(Four a, Four b) {
#if __has_builtin(__builtin_shufflevector)
  return __builtin_shufflevector(a, b, Lanes...);
#else
  return __builtin_shuffle(a, b, Four{Lanes...});  // GCC 11
#endif
}

// Four words of each of four rows, to place `first` of four columns.
void turn_four(const RowView* rows, std::size_t offset, unsigned char* const* to,
               std::size_t first) {
  const auto a = load<Four>(rows[0].data + offset), b = load<Four>(rows[1].data + offset);
  const auto c = load<Four>(rows[2].data + offset), d = load<Four>(rows[3].data + offset);
  const Four ab_low = shuffled<0, 4, 1, 5>(a, b), ab_high = shuffled<2, 6, 3, 7>(a, b);
  const Four cd_low = shuffled<0, 4, 1, 5>(c, d), cd_high = shuffled<2, 6, 3, 7>(c, d);
  store(to[0] + 4 * first, shuffled<0, 1, 4, 5>(ab_low, cd_low));
  store(to[1] + 4 * first, shuffled<2, 3, 6, 7>(ab_low, cd_low));
  store(to[2] + 4 * first, shuffled<0, 1, 4, 5>(ab_high, cd_high));
  store(to[3] + 4 * first, shuffled<2, 3, 6, 7>(ab_high, cd_high));
}

}  // namespace

void row_turn_scalar(const RowView* rows, std::size_t n, std::size_t offset,
                     unsigned char* const* to) {
  for (std::size_t row = 0; row < n; row += 4)
    for (std::size_t word = 0; word < kTile; word += 4)
      turn_four(rows + row, offset + 4 * word, to + word, row);
}

}  // namespace friesian::kernels
