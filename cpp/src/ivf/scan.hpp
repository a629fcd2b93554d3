#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "ivf/ivf_layout.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

namespace kernels {
// out[i] = the score of `query` with row i of `rows`, which are `dim` floats each, one after the
// other; natural alignment is enough and nothing past the last row is read. Every level adds in
// its own order: scores differ between levels by rounding (about 1e-6 of the terms' sum).
using ScanRows = void(const float* query, const float* rows, std::size_t n, std::size_t dim,
                      float* out);
ScanRows scan_ip_scalar, scan_ip_avx2, scan_ip_avx512;
ScanRows scan_l2_scalar, scan_l2_avx2, scan_l2_avx512;

// Writes every i to `out` with scores[i] >= least, in order; returns how many. Has
// the same result at every level. `out` has room for n.
using SelectAtLeast = std::size_t(const float* scores, std::size_t n, float least,
                                  std::uint32_t* out);
SelectAtLeast select_at_least_scalar, select_at_least_avx2, select_at_least_avx512;
}  // namespace kernels

// The kernels of one search, picked once.
struct ScanKernels {
  kernels::ScanRows* scan;
  kernels::SelectAtLeast* select;
};

[[nodiscard]] ScanKernels scan_kernels(Metric metric, SimdLevel level) noexcept;

}  // namespace friesian
