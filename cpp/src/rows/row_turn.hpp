#pragma once
#include <cstddef>
#include <cstdint>

#include "rows/row_checksum.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

// A tile: so many rows, and as many words of 4 bytes that stand side by side in each.
inline constexpr std::size_t kTile = 8;

namespace kernels {
// The kTile words at `offset` of n rows, a multiple of kTile, as columns: to[i] becomes word i of
// each row, in their order. No two of `to` overlap, nor do they the rows. Any alignment. Same bits
// at every level.
using RowTurn = void(const RowView* rows, std::size_t n, std::size_t offset,
                     unsigned char* const* to);
RowTurn row_turn_scalar, row_turn_avx2;
}  // namespace kernels

[[nodiscard]] kernels::RowTurn* row_turn_kernel(SimdLevel level) noexcept;

}  // namespace friesian
