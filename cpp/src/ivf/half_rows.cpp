#include "ivf/half_rows.hpp"

namespace friesian {

kernels::HalfRows* half_rows_kernel(Metric metric, SimdLevel level) noexcept {
  static constexpr KernelTable<kernels::HalfRows> kIp{{
      kernels::half_rows_ip_scalar,
      FRIESIAN_X86_KERNEL(kernels::half_rows_ip_avx2),
      FRIESIAN_X86_KERNEL(kernels::half_rows_ip_avx512),
  }};
  static constexpr KernelTable<kernels::HalfRows> kL2{{
      kernels::half_rows_l2_scalar,
      FRIESIAN_X86_KERNEL(kernels::half_rows_l2_avx2),
      FRIESIAN_X86_KERNEL(kernels::half_rows_l2_avx512),
  }};
  return (metric == Metric::l2 ? kL2 : kIp).at(level);
}

}  // namespace friesian
