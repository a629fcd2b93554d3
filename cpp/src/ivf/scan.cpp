#include "ivf/scan.hpp"

namespace friesian {

namespace {

constexpr KernelTable<kernels::ScanRows> kScanIp{{
    kernels::scan_ip_scalar,
    FRIESIAN_X86_KERNEL(kernels::scan_ip_avx2),
    FRIESIAN_X86_KERNEL(kernels::scan_ip_avx512),
}};

constexpr KernelTable<kernels::ScanRows> kScanL2{{
    kernels::scan_l2_scalar,
    FRIESIAN_X86_KERNEL(kernels::scan_l2_avx2),
    FRIESIAN_X86_KERNEL(kernels::scan_l2_avx512),
}};

constexpr KernelTable<kernels::SelectAtLeast> kSelectAtLeast{{
    kernels::select_at_least_scalar,
    FRIESIAN_X86_KERNEL(kernels::select_at_least_avx2),
    FRIESIAN_X86_KERNEL(kernels::select_at_least_avx512),
}};

}  // namespace

ScanKernels scan_kernels(Metric metric, SimdLevel level) noexcept {
  return {(metric == Metric::l2 ? kScanL2 : kScanIp).at(level), kSelectAtLeast.at(level)};
}

}  // namespace friesian
