#include "ivf/half.hpp"
#include "ivf/half_rows.hpp"

namespace friesian::kernels {

namespace {

// Four partial sums: the compiler may keep them in one baseline register.
template <typename Term>
void score(const float* query, const std::uint16_t* rows, std::size_t dim,
           const std::uint32_t* positions, std::size_t n, float* out, const Term& term) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t* row = rows + positions[i] * dim;
    float sums[4] = {};
    std::size_t j = 0;
    for (; j + 4 <= dim; j += 4)
      for (std::size_t lane = 0; lane < 4; ++lane)
        sums[lane] += term(query[j + lane], half_to_float(row[j + lane]));
    for (; j < dim; ++j) sums[0] += term(query[j], half_to_float(row[j]));
    out[i] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
}

}  // namespace

void half_rows_ip_scalar(const float* query, const std::uint16_t* rows, std::size_t dim,
                         const std::uint32_t* positions, std::size_t n, float* out) {
  score(query, rows, dim, positions, n, out, [](float a, float b) { return a * b; });
}

void half_rows_l2_scalar(const float* query, const std::uint16_t* rows, std::size_t dim,
                         const std::uint32_t* positions, std::size_t n, float* out) {
  score(query, rows, dim, positions, n, out, [](float a, float b) { return -((a - b) * (a - b)); });
}

}  // namespace friesian::kernels
