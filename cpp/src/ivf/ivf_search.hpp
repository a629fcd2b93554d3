#pragma once
#include <cstddef>
#include <cstdint>

#include "ivf/ivf_layout.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

inline constexpr std::uint32_t kNoPosition = 0xFFFFFFFF;

// The best k vectors of the `nprobe` lists nearest to each of n queries: positions in the layout,
// best score first, equal scores by position; what is missing is kNoPosition and -infinity. Exact
// over the lists probed, and over everything when nprobe is nlist. Reads the layout only, so many
// threads may search it at once. Throws InvalidInput for a query that is not finite, k < 1, or
// nprobe outside [1, nlist].
void ivf_search(const IvfLayout& layout, const float* queries, std::size_t n, std::size_t k,
                std::size_t nprobe, SimdLevel level, std::uint32_t* positions, float* scores);

}  // namespace friesian
