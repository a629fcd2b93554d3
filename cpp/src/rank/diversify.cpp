#include "rank/diversify.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace friesian {

namespace {

// Four partial sums: the compiler keeps them in one register.
float dot(const float* a, const float* b, std::size_t dim) {
  float sums[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= dim; i += 4)
    for (std::size_t lane = 0; lane < 4; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  for (; i < dim; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace

void diversify(const float* relevance, const float* vectors, std::size_t n, std::size_t dim,
               std::size_t k, float diversity, std::uint32_t* picks) {
  std::vector<float> inverse_norms(n);
  for (std::size_t i = 0; i < n; ++i) {
    const float norm = std::sqrt(dot(vectors + i * dim, vectors + i * dim, dim));
    inverse_norms[i] = norm > 0 ? 1 / norm : 0;
  }
  constexpr float kPicked = -std::numeric_limits<float>::infinity();
  std::vector<float> gain(n);
  for (std::size_t i = 0; i < n; ++i) gain[i] = (1 - diversity) * relevance[i];
  std::vector<float> closest(n, -1);
  for (std::size_t picked = 0; picked < std::min(k, n); ++picked) {
    std::size_t best = n;
    float most = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (gain[i] == kPicked) continue;
      const float worth = picked == 0 ? gain[i] : gain[i] - diversity * closest[i];
      if (best == n || worth > most) best = i, most = worth;
    }
    picks[picked] = static_cast<std::uint32_t>(best);
    gain[best] = kPicked;
    for (std::size_t i = 0; i < n; ++i)
      if (gain[i] != kPicked)
        closest[i] = std::max(closest[i], dot(vectors + i * dim, vectors + best * dim, dim) *
                                              inverse_norms[i] * inverse_norms[best]);
  }
}

}  // namespace friesian
