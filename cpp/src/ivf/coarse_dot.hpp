#pragma once
#include <cstddef>
#include <cstdint>

#include "simd/simd_level.hpp"

namespace friesian {

namespace kernels {
// out[i] = the inner product of `query` with centroid i, for 16 * `blocks` centroids. `query` is
// 4 * `groups` codes in [-127, 127]; `codes` holds, block after block, `groups` times 64 bytes:
// four codes of each of 16 centroids. Same bits at every level.
using CoarseDot = void(const std::int8_t* query, const std::int8_t* codes, std::size_t blocks,
                       std::size_t groups, std::int32_t* out);
CoarseDot coarse_dot_scalar, coarse_dot_avx2, coarse_dot_avx512;
}  // namespace kernels

[[nodiscard]] kernels::CoarseDot* coarse_dot_kernel(SimdLevel level) noexcept;

}  // namespace friesian
