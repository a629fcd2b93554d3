#pragma once
#include <algorithm>

#include "rows/row_checksum.hpp"

namespace friesian::kernels {

namespace {

// The checksum of each row from the sums of its stripes: stripe_sum(words, n) is what the n words
// at `words` come to, at most kRowKeys of them. Unnamed, so that each level compiles its own.
template <typename StripeSum>
void checksums_of(const RowView* rows, std::size_t n, const StripeSum& stripe_sum,
                  std::uint64_t* checksums) {
  for (std::size_t i = 0; i < n; ++i) {
    const unsigned char* at = rows[i].data + kRowHeaderBytes;
    std::size_t left = rows[i].size / 8 - kRowHeaderBytes / 8;
    std::uint64_t state = 0;
    for (; left > kRowKeys; left -= kRowKeys, at += 8 * kRowKeys)
      state = (state + stripe_sum(at, kRowKeys)) * kRowMultiplier;
    state = (state + stripe_sum(at, left)) * kRowMultiplier;
    checksums[i] = state >> 40 << 8;
  }
}

}  // namespace

}  // namespace friesian::kernels
