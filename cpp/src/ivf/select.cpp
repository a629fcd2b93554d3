#include "ivf/select.hpp"

#include <algorithm>
#include <cmath>

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

}  // namespace

SelectKernels select_kernels(SimdLevel level) noexcept {
  return {kCountAtLeast.at(level), kSelectAtLeast.at(level)};
}

// Bisection over the 65,535 scores: 16 counts, which a register-wide compare makes cheaper than
// any heap or histogram.
std::int16_t nth_largest(const SelectKernels& kernels, const std::int16_t* scores, std::size_t n,
                         std::size_t wanted) noexcept {
  int low = -32767, high = 32767;
  while (low < high) {
    const int middle = (low + high + 1) >> 1;
    if (kernels.count(scores, n, static_cast<std::int16_t>(middle)) >= wanted)
      low = middle;
    else
      high = middle - 1;
  }
  return static_cast<std::int16_t>(low);
}

}  // namespace friesian
