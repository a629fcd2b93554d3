#include "rows/row_checksum.hpp"

namespace friesian {

kernels::RowChecksums* row_checksums_kernel(SimdLevel level) noexcept {
  static constexpr KernelTable<kernels::RowChecksums> kTable{{
      kernels::row_checksums_scalar,
      FRIESIAN_X86_KERNEL(kernels::row_checksums_avx2),
      nullptr,
  }};
  return kTable.at(level);
}

}  // namespace friesian
