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

// Rows by the number of MD5 blocks beyond the first: class 0 are the short ones. So many long
// messages are rare that the last class may hold all those of kClasses blocks or more.
constexpr std::size_t kClasses = 16;

std::size_t class_of(std::uint32_t length) {
  return std::min((std::size_t{length} + 8) / 64, kClasses - 1);
}

// A batch of messages by rising number of blocks, so that lanes that are hashed side by side are
// done at about the same time.
struct ByBlocks {
  std::array<std::uint32_t, TextBatch::kRows> rows;
  std::array<const std::uint8_t*, TextBatch::kRows> bytes;
  std::array<std::uint32_t, TextBatch::kRows> lengths;
  std::size_t shorts;

  ByBlocks(const std::uint8_t* const* all_bytes, const std::uint32_t* all_lengths, std::size_t n) {
    std::array<std::size_t, kClasses + 1> begin{};
    for (std::size_t i = 0; i < n; ++i) ++begin[class_of(all_lengths[i]) + 1];
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    shorts = begin[1];
    const std::size_t longest = begin[kClasses - 1];
    for (std::size_t i = 0; i < n; ++i)
      rows[begin[class_of(all_lengths[i])]++] = static_cast<std::uint32_t>(i);
    std::sort(rows.begin() + static_cast<std::ptrdiff_t>(longest),
              rows.begin() + static_cast<std::ptrdiff_t>(n),
              [&](std::uint32_t a, std::uint32_t b) { return all_lengths[a] < all_lengths[b]; });
    for (std::size_t i = 0; i < n; ++i) {
      bytes[i] = all_bytes[rows[i]];
      lengths[i] = all_lengths[rows[i]];
    }
  }
};

void mixed_lengths(const std::uint8_t* const* bytes, const std::uint32_t* lengths, std::size_t n,
                   const BucketModulus& modulus, std::int32_t* out, SimdLevel level) {
  const ByBlocks ordered(bytes, lengths, n);
  const std::size_t shorts = ordered.shorts;
  std::array<std::int32_t, TextBatch::kRows> buckets;
  kShort.at(level)(ordered.bytes.data(), ordered.lengths.data(), shorts, modulus, buckets.data());
  kLong.at(level)(ordered.bytes.data() + shorts, ordered.lengths.data() + shorts, n - shorts,
                  modulus, buckets.data() + shorts);
  for (std::size_t i = 0; i < n; ++i) out[ordered.rows[i]] = buckets[i];
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
