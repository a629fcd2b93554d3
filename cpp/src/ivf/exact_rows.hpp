#pragma once
#include <cstddef>
#include <cstdint>

#include "ivf/ivf_layout.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

namespace kernels {
// out[i] = the inner product of `query` with row positions[i], or minus their squared distance: of
// the row as it was given, half precision and rest together, summed in double precision. Rows are
// `dim` numbers, one after the other, and nothing past one is read. Levels add in different orders:
// scores differ by about 1e-15 of the terms' sum.
using ExactRows = void(const float* query, const std::uint16_t* rows, const std::int16_t* rests,
                       std::size_t dim, const std::uint32_t* positions, std::size_t n, double* out);
ExactRows exact_rows_ip_scalar, exact_rows_ip_avx2, exact_rows_ip_avx512;
ExactRows exact_rows_l2_scalar, exact_rows_l2_avx2, exact_rows_l2_avx512;
}  // namespace kernels

[[nodiscard]] kernels::ExactRows* exact_rows_kernel(Metric metric, SimdLevel level) noexcept;

}  // namespace friesian
