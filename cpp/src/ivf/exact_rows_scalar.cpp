#include "ivf/exact_rows.hpp"
#include "ivf/row_rest.hpp"

namespace friesian::kernels {

namespace {

template <typename Term>
void score(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
           std::size_t dim, const std::uint32_t* positions, std::size_t n, double* out,
           const Term& term) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t first = positions[i] * dim;
    double sum = 0;
    for (std::size_t j = 0; j < dim; ++j)
      sum += term(double{query[j]}, double{with_rest(rows[first + j], rests[first + j])});
    out[i] = sum;
  }
}

}  // namespace

void exact_rows_ip_scalar(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
                          std::size_t dim, const std::uint32_t* positions, std::size_t n,
                          double* out) {
  score(query, rows, rests, dim, positions, n, out, [](double a, double b) { return a * b; });
}

void exact_rows_l2_scalar(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
                          std::size_t dim, const std::uint32_t* positions, std::size_t n,
                          double* out) {
  score(query, rows, rests, dim, positions, n, out,
        [](double a, double b) { return -((a - b) * (a - b)); });
}

}  // namespace friesian::kernels
