#include "ivf/scan.hpp"

namespace friesian::kernels {

namespace {

// Four partial sums: the compiler may keep them in one baseline register.
template <typename Term>
void scan(const float* query, const float* rows, std::size_t n, std::size_t dim, float* out,
          const Term& term) {
  for (std::size_t i = 0; i < n; ++i, rows += dim) {
    float sums[4] = {};
    std::size_t j = 0;
    for (; j + 4 <= dim; j += 4)
      for (std::size_t lane = 0; lane < 4; ++lane)
        sums[lane] += term(query[j + lane], rows[j + lane]);
    for (; j < dim; ++j) sums[0] += term(query[j], rows[j]);
    out[i] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
}

}  // namespace

void scan_ip_scalar(const float* query, const float* rows, std::size_t n, std::size_t dim,
                    float* out) {
  scan(query, rows, n, dim, out, [](float a, float b) { return a * b; });
}

void scan_l2_scalar(const float* query, const float* rows, std::size_t n, std::size_t dim,
                    float* out) {
  scan(query, rows, n, dim, out, [](float a, float b) { return -((a - b) * (a - b)); });
}

std::size_t select_at_least_scalar(const float* scores, std::size_t n, float least,
                                   std::uint32_t* out) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (scores[i] >= least) out[kept++] = static_cast<std::uint32_t>(i);
  return kept;
}

}  // namespace friesian::kernels
