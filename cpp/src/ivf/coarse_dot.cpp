#include "ivf/coarse_dot.hpp"

namespace friesian {

kernels::CoarseDot* coarse_dot_kernel(SimdLevel level) noexcept {
  static constexpr KernelTable<kernels::CoarseDot> kTable{{
      kernels::coarse_dot_scalar,
      FRIESIAN_X86_KERNEL(kernels::coarse_dot_avx2),
      FRIESIAN_X86_KERNEL(kernels::coarse_dot_avx512),
  }};
  return kTable.at(level);
}

}  // namespace friesian
