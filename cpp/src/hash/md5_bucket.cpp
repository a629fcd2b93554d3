#include "hash/md5_bucket.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <memory>
#include <numeric>

#include "common/text_batch.hpp"
#include "hash/md5_bucket_kernels.hpp"

namespace friesian {

namespace {

constexpr KernelTable<kernels::Md5Bucket> kShort{{
    kernels::md5_bucket_short_scalar,
    FRIESIAN_X86_KERNEL(kernels::md5_bucket_short_avx2),
    FRIESIAN_X86_KERNEL(kernels::md5_bucket_short_avx512),
}};

constexpr KernelTable<kernels::Md5Bucket> kLong{{
    kernels::md5_bucket_long_scalar,
    FRIESIAN_X86_KERNEL(kernels::md5_bucket_long_avx2),
    FRIESIAN_X86_KERNEL(kernels::md5_bucket_long_avx512),
}};

// Some message is long: the short ones go together, the long ones by rising length, so that lanes
// that are hashed side by side need about as many blocks.
void mixed_lengths(const std::uint8_t* const* bytes, const std::uint32_t* lengths, std::size_t n,
                   const BucketModulus& modulus, std::int32_t* out, SimdLevel level) {
  std::array<std::uint32_t, TextBatch::kRows> order;
  std::array<const std::uint8_t*, TextBatch::kRows> sorted_bytes;
  std::array<std::uint32_t, TextBatch::kRows> sorted_lengths;
  std::array<std::int32_t, TextBatch::kRows> buckets;
  const auto rows = std::span(order).first(n);
  std::iota(rows.begin(), rows.end(), 0u);
  const auto first_long = std::partition(rows.begin(), rows.end(), [&](std::uint32_t row) {
    return lengths[row] <= kernels::kOneBlock;
  });
  std::sort(first_long, rows.end(),
            [&](std::uint32_t a, std::uint32_t b) { return lengths[a] < lengths[b]; });
  for (std::size_t i = 0; i < n; ++i) {
    sorted_bytes[i] = bytes[rows[i]];
    sorted_lengths[i] = lengths[rows[i]];
  }
  const auto shorts = static_cast<std::size_t>(first_long - rows.begin());
  kShort.at(level)(sorted_bytes.data(), sorted_lengths.data(), shorts, modulus, buckets.data());
  kLong.at(level)(sorted_bytes.data() + shorts, sorted_lengths.data() + shorts, n - shorts, modulus,
                  buckets.data() + shorts);
  for (std::size_t i = 0; i < n; ++i) out[rows[i]] = buckets[i];
}

}  // namespace

void md5_bucket_texts(const std::uint8_t* const* bytes, const std::uint32_t* lengths, std::size_t n,
                      std::uint32_t longest, const BucketModulus& modulus, std::int32_t* out,
                      SimdLevel level) {
  assert(n <= TextBatch::kRows);
  if (longest <= kernels::kOneBlock)
    kShort.at(level)(bytes, lengths, n, modulus, out);
  else
    mixed_lengths(bytes, lengths, n, modulus, out, level);
}

void md5_bucket(const Column& column, std::uint32_t bins, std::span<std::int32_t> out,
                SimdLevel level) {
  assert(out.size() == column.length && bins >= 1 && bins <= kMaxBins);
  const BucketModulus modulus(bins);
  const auto batch = std::make_unique<TextBatch>();
  for (std::size_t begin = 0; begin < column.length; begin += TextBatch::kRows) {
    const std::size_t rows = std::min(TextBatch::kRows, column.length - begin);
    batch->read(column, begin, rows, TextStyle::python);
    md5_bucket_texts(batch->bytes.data(), batch->lengths.data(), rows, batch->longest, modulus,
                     out.data() + begin, level);
  }
}

}  // namespace friesian
