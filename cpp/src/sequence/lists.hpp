#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace friesian {

// Lists of values of `width` bytes to `seq_len` values each: of longer ones the last seq_len,
// shorter ones are filled up at the end with `token`, one such value. List i is the `lengths[i]`
// values from `starts[i]`; `out` has room for lengths.size() * seq_len values.
void pad_lists(const std::byte* values, std::size_t width, std::span<const std::int64_t> starts,
               std::span<const std::int64_t> lengths, std::size_t seq_len, const std::byte* token,
               std::byte* out) noexcept;

// For each list min(length, seq_len) ones, then zeros up to seq_len.
void mask_lists(std::span<const std::int64_t> lengths, std::size_t seq_len,
                std::span<std::int32_t> out) noexcept;

}  // namespace friesian
