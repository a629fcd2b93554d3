#pragma once
#include <cstddef>
#include <cstdint>

#include "ivf/ivf_layout.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

namespace kernels {
// out[i] = the inner product of `query` with row positions[i] of half-precision `rows`, or minus
// their squared distance, summed in single precision. Rows are `dim` numbers, one after the other,
// and nothing past one is read. The rows to come are fetched into the second-level cache. Levels
// add in different orders: scores differ by rounding, which half_rows_rounding bounds.
using HalfRows = void(const float* query, const std::uint16_t* rows, std::size_t dim,
                      const std::uint32_t* positions, std::size_t n, float* out);
HalfRows half_rows_ip_scalar, half_rows_ip_avx2, half_rows_ip_avx512;
HalfRows half_rows_l2_scalar, half_rows_l2_avx2, half_rows_l2_avx512;
}  // namespace kernels

[[nodiscard]] kernels::HalfRows* half_rows_kernel(Metric metric, SimdLevel level) noexcept;

// How far an inner product of finite numbers can be from the true one at any level, for a product
// of the two norms of `norms`. A term takes part in at most m = dim / 4 + 8 roundings: its own
// product, a sum of a quarter of the terms (fewer in wider registers) and of the three left over,
// and the sum of the partial ones. So the error is at most m u / (1 - m u) of the sum of |q x|,
// with u = 2^-24, and that sum is at most |q| |x| by Cauchy and Schwarz. 6e-8 is u and half a
// percent, which covers 1 - m u up to the largest dimension. Where numbers are too small for full
// precision, each of the roundings of `dim` terms adds at most 2^-149.
[[nodiscard]] constexpr double half_rows_rounding(std::size_t dim, double norms) noexcept {
  return 6e-8 * (static_cast<double>(dim) / 4 + 8) * norms + 0x1p-149 * static_cast<double>(dim);
}

}  // namespace friesian
