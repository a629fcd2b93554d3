#include "rows/row_turn.hpp"

namespace friesian {

kernels::RowTurn* row_turn_kernel(SimdLevel level) noexcept {
  static constexpr KernelTable<kernels::RowTurn> kTable{{
      kernels::row_turn_scalar,
      FRIESIAN_X86_KERNEL(kernels::row_turn_avx2),
      nullptr,
  }};
  return kTable.at(level);
}

}  // namespace friesian
