#pragma once
#include <cstddef>
#include <cstdint>

#include "simd/simd_level.hpp"

namespace friesian {

// Bytes of the lookup tables of four codes: 64 for the codes in low halves of bytes (the table of
// the first code twice, of the third twice), then 64 for those in high halves (second, fourth).
inline constexpr std::size_t kQuadTableBytes = 128;

// The score of a place that holds no row, or none that may be answered; no other is as low.
inline constexpr std::int16_t kNoScore = -32768;

// What the codes of one list are scored with.
struct FastScanList {
  const std::uint8_t* tables;  // `quads` times kQuadTableBytes; 4 * quads entries sum below 2^15
  std::size_t quads;
  std::int16_t bias;        // added to every row
  std::int16_t norm_scale;  // with `norms`, else unused
};

namespace kernels {
// out[v] = bias + the sum of the entries the codes of row v choose - norms[v] * norm_scale / 2^15
// (rounded), saturating, at least -32767, for `blocks` blocks of 32 rows; `norms` may be null.
// Bytes from `ahead` on, as many as are read, are fetched into the second-level cache; any address
// will do. Same bits at every level.
using FastScan = void(const FastScanList& list, const std::uint8_t* codes,
                      const std::int16_t* norms, std::size_t blocks, const std::uint8_t* ahead,
                      std::int16_t* out);
FastScan fast_scan_scalar, fast_scan_avx2, fast_scan_avx512;
}  // namespace kernels

[[nodiscard]] kernels::FastScan* fast_scan_kernel(SimdLevel level) noexcept;

}  // namespace friesian
