#pragma once
#include <cstddef>
#include <cstdint>

namespace friesian {

// Maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998): picks k of n rows one after the
// other, each time the row with the most of
//   (1 - diversity) * relevance - diversity * (its largest cosine with a row picked before),
// equal ones by their number. `vectors` is n rows of `dim` floats; a row of zeros has cosine 0 with
// every other. Writes min(k, n) row numbers to `picks`. Baseline code only, so the choice is the
// same on every machine.
void diversify(const float* relevance, const float* vectors, std::size_t n, std::size_t dim,
               std::size_t k, float diversity, std::uint32_t* picks);

}  // namespace friesian
