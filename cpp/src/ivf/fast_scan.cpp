#include "ivf/fast_scan.hpp"

namespace friesian {

kernels::FastScan* fast_scan_kernel(SimdLevel level) noexcept {
  static constexpr KernelTable<kernels::FastScan> kTable{{
      kernels::fast_scan_scalar,
      FRIESIAN_X86_KERNEL(kernels::fast_scan_avx2),
      FRIESIAN_X86_KERNEL(kernels::fast_scan_avx512),
  }};
  return kTable.at(level);
}

}  // namespace friesian
