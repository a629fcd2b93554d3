#include "ivf/select.hpp"

namespace friesian::kernels {

std::size_t count_at_least_scalar(const std::int16_t* scores, std::size_t n, std::int16_t least) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; ++i) count += scores[i] >= least ? 1 : 0;
  return count;
}

std::size_t select_at_least_scalar(const std::int16_t* scores, std::size_t n, std::int16_t least,
                                   std::uint32_t* out) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (scores[i] >= least) out[kept++] = static_cast<std::uint32_t>(i);
  return kept;
}

}  // namespace friesian::kernels
