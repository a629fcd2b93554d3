#include "sequence/lists.hpp"

#include <algorithm>
#include <cstring>

namespace friesian {

void pad_lists(const std::byte* values, std::size_t width, std::span<const std::int64_t> starts,
               std::span<const std::int64_t> lengths, std::size_t seq_len, const std::byte* token,
               std::byte* out) noexcept {
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const auto length = static_cast<std::size_t>(lengths[i]);
    const std::size_t kept = std::min(length, seq_len);
    const std::size_t from = static_cast<std::size_t>(starts[i]) + (length - kept);
    if (kept != 0) std::memcpy(out, values + from * width, kept * width);
    out += kept * width;
    for (std::size_t j = kept; j < seq_len; ++j, out += width) std::memcpy(out, token, width);
  }
}

void mask_lists(std::span<const std::int64_t> lengths, std::size_t seq_len,
                std::span<std::int32_t> out) noexcept {
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const auto row = out.subspan(i * seq_len, seq_len);
    const std::size_t ones = std::min(static_cast<std::size_t>(lengths[i]), seq_len);
    std::fill_n(row.begin(), ones, 1);
    std::fill(row.begin() + static_cast<std::ptrdiff_t>(ones), row.end(), 0);
  }
}

}  // namespace friesian
