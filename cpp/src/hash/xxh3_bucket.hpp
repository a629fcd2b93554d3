#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/column.hpp"

namespace friesian {

// out[i] = xxh3_64(str(column[i])) % bins, text as Python writes it, "None" for null.
// 1 <= bins <= kMaxBins. For a short text the hash is a few multiplications, so that there is one
// level only.
void xxh3_bucket(const Column& column, std::uint32_t bins, std::span<std::int32_t> out);

// The same for messages given by address and length.
void xxh3_bucket_texts(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                       std::size_t n, std::uint32_t bins, std::int32_t* out) noexcept;

}  // namespace friesian
