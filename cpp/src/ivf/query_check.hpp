#pragma once
#include <cstddef>

#include "ivf/ivf_layout.hpp"

namespace friesian {

// A squared distance from farther away than so many times the longest row is the same for all rows
// in single precision.
inline constexpr double kFarthestQuery = 1e5;

// Throws InvalidInput, naming the query, for one that is not finite or so long that scores leave
// single precision or no longer tell the rows apart.
void check_query_values(const IvfLayout& layout, const float* queries, std::size_t n);

}  // namespace friesian
