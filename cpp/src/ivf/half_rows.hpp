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
// add in different orders: scores differ by rounding (about 1e-6 of the terms' sum).
using HalfRows = void(const float* query, const std::uint16_t* rows, std::size_t dim,
                      const std::uint32_t* positions, std::size_t n, float* out);
HalfRows half_rows_ip_scalar, half_rows_ip_avx2, half_rows_ip_avx512;
HalfRows half_rows_l2_scalar, half_rows_l2_avx2, half_rows_l2_avx512;
}  // namespace kernels

[[nodiscard]] kernels::HalfRows* half_rows_kernel(Metric metric, SimdLevel level) noexcept;

}  // namespace friesian
