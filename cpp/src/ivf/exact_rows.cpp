#include "ivf/exact_rows.hpp"

namespace friesian {

kernels::ExactRows* exact_rows_kernel(Metric metric, SimdLevel level) noexcept {
  static constexpr KernelTable<kernels::ExactRows> kIp{{
      kernels::exact_rows_ip_scalar,
      FRIESIAN_X86_KERNEL(kernels::exact_rows_ip_avx2),
      FRIESIAN_X86_KERNEL(kernels::exact_rows_ip_avx512),
  }};
  static constexpr KernelTable<kernels::ExactRows> kL2{{
      kernels::exact_rows_l2_scalar,
      FRIESIAN_X86_KERNEL(kernels::exact_rows_l2_avx2),
      FRIESIAN_X86_KERNEL(kernels::exact_rows_l2_avx512),
  }};
  return (metric == Metric::l2 ? kL2 : kIp).at(level);
}

}  // namespace friesian
