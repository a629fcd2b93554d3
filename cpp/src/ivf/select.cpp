#include "ivf/select.hpp"

#include <algorithm>

namespace friesian {

namespace {

constexpr KernelTable<kernels::CountAtLeast> kCountAtLeast{{
    kernels::count_at_least_scalar,
    FRIESIAN_X86_KERNEL(kernels::count_at_least_avx2),
    FRIESIAN_X86_KERNEL(kernels::count_at_least_avx512),
}};

constexpr KernelTable<kernels::SelectAtLeast> kSelectAtLeast{{
    kernels::select_at_least_scalar,
    FRIESIAN_X86_KERNEL(kernels::select_at_least_avx2),
    FRIESIAN_X86_KERNEL(kernels::select_at_least_avx512),
}};

// The largest of so many scores stands for all of them.
constexpr std::size_t kGroup = 8;

}  // namespace

SelectKernels select_kernels(SimdLevel level) noexcept {
  return {kCountAtLeast.at(level), kSelectAtLeast.at(level)};
}

// Down from the largest in strides that double, then by bisection: the best are near the largest,
// so some nine counts do, which register-wide compares make cheaper than any heap or histogram.
std::int16_t nth_largest(const SelectKernels& kernels, const std::int16_t* scores, std::size_t n,
                         std::size_t wanted) noexcept {
  const auto enough = [&](int least) {
    return kernels.count(scores, n, static_cast<std::int16_t>(least)) >= wanted;
  };
  std::int16_t largest = -32767;
  for (std::size_t i = 0; i < n; ++i) largest = scores[i] > largest ? scores[i] : largest;
  int stride = 64, low = largest, high = largest;
  while (low > -32767 && !enough(low)) {
    high = low - 1;
    low = std::max(low - stride, -32767);
    stride *= 2;
  }
  while (low < high) {
    const int middle = low + (high - low + 1) / 2;
    if (enough(middle))
      low = middle;
    else
      high = middle - 1;
  }
  return static_cast<std::int16_t>(low);
}

std::size_t select_best(const SelectKernels& kernels, const std::int16_t* scores, std::size_t n,
                        std::size_t wanted, std::vector<std::int16_t>& scratch,
                        std::uint32_t* hits) {
  const std::size_t groups = n / kGroup;
  if (groups < 2 * wanted)
    return kernels.select(scores, n, nth_largest(kernels, scores, n, wanted), hits);
  if (scratch.size() < n) scratch.resize(n);
  std::copy_n(scores, groups, scratch.begin());
  for (std::size_t g = 1; g < kGroup; ++g)
    for (std::size_t i = 0; i < groups; ++i)
      scratch[i] = std::max(scratch[i], scores[g * groups + i]);
  const std::int16_t bound = nth_largest(kernels, scratch.data(), groups, wanted);
  const std::size_t found = kernels.select(scores, n, bound, hits);
  for (std::size_t i = 0; i < found; ++i) scratch[i] = scores[hits[i]];
  const std::int16_t least = nth_largest(kernels, scratch.data(), found, wanted);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < found; ++i) {
    hits[kept] = hits[i];
    kept += scratch[i] >= least;
  }
  return kept;
}

}  // namespace friesian
