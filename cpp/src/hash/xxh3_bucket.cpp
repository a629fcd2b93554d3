#include "hash/xxh3_bucket.hpp"

#include <algorithm>
#include <memory>

#include "common/text_batch.hpp"
#include "hash/xxh3.hpp"

namespace friesian {

void xxh3_bucket_texts(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                       std::size_t n, std::uint32_t bins, std::int32_t* out) noexcept {
  for (std::size_t i = 0; i < n; ++i)
    out[i] = static_cast<std::int32_t>(xxh3::hash(bytes[i], lengths[i]) % bins);
}

void xxh3_bucket(const Column& column, std::uint32_t bins, std::span<std::int32_t> out) {
  const auto batch = std::make_unique<TextBatch>();
  for (std::size_t begin = 0; begin < column.length; begin += TextBatch::kRows) {
    const std::size_t rows = std::min(TextBatch::kRows, column.length - begin);
    batch->read(column, begin, rows, TextStyle::python);
    xxh3_bucket_texts(batch->bytes.data(), batch->lengths.data(), rows, bins, out.data() + begin);
  }
}

}  // namespace friesian
