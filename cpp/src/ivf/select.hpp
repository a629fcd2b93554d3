#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "simd/simd_level.hpp"

namespace friesian {

namespace kernels {
// How many of n scores are at least `least`. Same result at every level.
using CountAtLeast = std::size_t(const std::int16_t* scores, std::size_t n, std::int16_t least);
CountAtLeast count_at_least_scalar, count_at_least_avx2, count_at_least_avx512;

// Writes every i with scores[i] >= least to `out`, in order; returns how many. `out` has room for
// all of them and kSelectSlack more, which may be overwritten. Same result at every level.
using SelectAtLeast = std::size_t(const std::int16_t* scores, std::size_t n, std::int16_t least,
                                  std::uint32_t* out);
SelectAtLeast select_at_least_scalar, select_at_least_avx2, select_at_least_avx512;
}  // namespace kernels

inline constexpr std::size_t kSelectSlack = 16;

struct SelectKernels {
  kernels::CountAtLeast* count;
  kernels::SelectAtLeast* select;
};

[[nodiscard]] SelectKernels select_kernels(SimdLevel level) noexcept;

// The largest t above -32768 that at least `wanted` of the scores reach; -32767 when fewer are
// above -32768. `wanted` is at least 1.
[[nodiscard]] std::int16_t nth_largest(const SelectKernels& kernels, const std::int16_t* scores,
                                       std::size_t n, std::size_t wanted) noexcept;

// Where the best `wanted` of n scores above -32768 stand, and those equal to the last of them, in
// order: `hits` has room for n + kSelectSlack. Returns how many. For many scores of which few are
// wanted, the bound is first sought among the largest of every eight, which is nearly as high.
[[nodiscard]] std::size_t select_best(const SelectKernels& kernels, const std::int16_t* scores,
                                      std::size_t n, std::size_t wanted,
                                      std::vector<std::int16_t>& scratch, std::uint32_t* hits);

}  // namespace friesian
