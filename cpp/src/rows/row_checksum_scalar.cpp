#include "rows/row_stripes.hpp"

namespace friesian::kernels {

namespace {

std::uint64_t stripe_sum(const unsigned char* words, std::size_t n) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto word = load<std::uint64_t>(words + 8 * i), key = kRowKeyTable.words[i];
    const auto low = static_cast<std::uint32_t>(word + key);
    const auto high = static_cast<std::uint32_t>((word >> 32) + (key >> 32));
    sum += std::uint64_t{low} * high;
  }
  return sum;
}

}  // namespace

void row_checksums_scalar(const RowView* rows, std::size_t n, std::uint64_t* checksums) {
  checksums_of(rows, n, stripe_sum, checksums);
}

}  // namespace friesian::kernels
