#include <algorithm>

#include "ivf/coarse_dot.hpp"

namespace friesian::kernels {

void coarse_dot_scalar(const std::int8_t* query, const std::int8_t* codes, std::size_t blocks,
                       std::size_t groups, std::int32_t* out) {
  std::fill_n(out, blocks * 16, 0);
  for (std::size_t block = 0; block < blocks; ++block, out += 16)
    for (std::size_t g = 0; g < groups; ++g, codes += 64)
      for (std::size_t i = 0; i < 64; ++i)
        out[i / 4] += std::int32_t{query[g * 4 + i % 4]} * codes[i];
}

}  // namespace friesian::kernels
