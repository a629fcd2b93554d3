#include <algorithm>

#include "ivf/filter_set.hpp"

namespace friesian::kernels {

void filter_set_int32_scalar(const std::int32_t* values, std::size_t n, std::int32_t base,
                             const std::uint64_t* table, std::uint32_t span, std::uint64_t* out) {
  for (std::size_t first = 0; first < n; first += 64) {
    const std::size_t rows = std::min<std::size_t>(64, n - first);
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const std::uint32_t at =
          static_cast<std::uint32_t>(values[first + i]) - static_cast<std::uint32_t>(base);
      if (at < span) word |= ((table[at / 64] >> (at % 64)) & 1) << i;
    }
    *out++ = word;
  }
}

}  // namespace friesian::kernels
