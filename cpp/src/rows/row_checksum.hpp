#pragma once
#include <cstddef>

#include "common/bytes_hash.hpp"
#include "rows/row_schema.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

// One packed row as it was received; `data` is null for a row that is missing.
struct RowView {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
};

// The second word of a row: version, checksum, length, from the lowest byte on.
inline constexpr std::uint64_t kRowChecksumBits = 0x00000000FFFFFF00;

[[nodiscard]] inline std::uint64_t row_header(const unsigned char* row) noexcept {
  return load<std::uint64_t>(row + 8);
}

// What row_checksum multiplies with, and the words that a row's are added to: the first numbers of
// SplitMix64 that begins at 0.
inline constexpr std::uint64_t kRowMultiplier = 0x9E3779B97F4A7C15;
inline constexpr std::size_t kRowKeys = 64;
struct RowKeys {
  std::uint64_t words[kRowKeys];
};
[[nodiscard]] constexpr RowKeys make_row_keys() noexcept {
  RowKeys keys{};
  for (std::size_t i = 0; i < kRowKeys; ++i) keys.words[i] = mix64((i + 1) * kRowMultiplier);
  return keys;
}
alignas(kCacheLine) inline constexpr RowKeys kRowKeyTable = make_row_keys();

namespace kernels {
// checksums[i] = the 24 bits that rows[i] must hold as its checksum, at their place in the header;
// decision 0001 defines them. A row has a header and is not null; nothing past its size is read.
// Same bits at every level.
using RowChecksums = void(const RowView* rows, std::size_t n, std::uint64_t* checksums);
RowChecksums row_checksums_scalar, row_checksums_avx2;
}  // namespace kernels

[[nodiscard]] kernels::RowChecksums* row_checksums_kernel(SimdLevel level) noexcept;

}  // namespace friesian
