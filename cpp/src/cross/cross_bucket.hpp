#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "common/column.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

enum class TextHash { md5, xxh3 };

// out[i] = the bucket, by that hash, of the columns' texts in row i, joined by `separator`; texts
// as Spark casts to string. A row with any null gives the bucket of "None". The columns are of
// equal length, and 1 <= bins <= kMaxBins. Same bits at every level; the joined column never exists
// as a whole.
void cross_bucket(std::span<const Column> columns, std::string_view separator, TextHash hash,
                  std::uint32_t bins, std::span<std::int32_t> out, SimdLevel level);

}  // namespace friesian
