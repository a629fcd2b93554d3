#include "cross/cross_bucket.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "common/text_batch.hpp"
#include "hash/md5_bucket.hpp"

namespace friesian {

namespace {

constexpr std::string_view kNone = "None";

// A short part is copied as a whole register, whatever its length: what is too much is overwritten
// by the next part. A branch on 32 is cheaper than a call of memcpy with an unknown size.
std::uint8_t* append(std::uint8_t* to, const std::uint8_t* from, std::uint32_t length) {
  if (length <= 32)
    std::memcpy(to, from, 32);
  else if (length <= kReadable)
    std::memcpy(to, from, kReadable);
  else
    std::memcpy(to, from, length);
  return to + length;
}

// The joined texts of one batch of rows, one after another in a buffer that is used again and
// again.
class JoinedTexts {
 public:
  JoinedTexts(std::size_t parts, std::string_view separator)
      : parts_(parts), separator_(kReadable), separator_length_(separator.size()) {
    if (separator.size() > kReadable) separator_.resize(separator.size());
    std::copy(separator.begin(), separator.end(), separator_.begin());
  }

  TextBatch& part(std::size_t index) { return parts_[index]; }

  void join(std::size_t rows) {
    reserve(rows);
    std::uint8_t* at = buffer_.data();
    for (std::size_t row = 0; row < rows; ++row) {
      bytes[row] = at;
      at = join_row(row, at);
      lengths[row] = static_cast<std::uint32_t>(at - bytes[row]);
    }
  }

  std::array<const std::uint8_t*, TextBatch::kRows> bytes;
  std::array<std::uint32_t, TextBatch::kRows> lengths;

 private:
  std::uint8_t* join_row(std::size_t row, std::uint8_t* at) const {
    for (const TextBatch& part : parts_)
      if (part.has_nulls && part.nulls[row]) return std::copy(kNone.begin(), kNone.end(), at);
    at = append(at, parts_[0].bytes[row], parts_[0].lengths[row]);
    for (std::size_t i = 1; i < parts_.size(); ++i) {
      if (separator_length_ != 0)
        at = append(at, separator_.data(), static_cast<std::uint32_t>(separator_length_));
      at = append(at, parts_[i].bytes[row], parts_[i].lengths[row]);
    }
    return at;
  }

  void reserve(std::size_t rows) {
    std::array<std::uint64_t, TextBatch::kRows> joined;
    joined.fill(separator_length_ * (parts_.size() - 1));
    for (const TextBatch& part : parts_)
      for (std::size_t row = 0; row < rows; ++row) joined[row] += part.lengths[row];
    std::uint64_t total = 0, longest = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      total += joined[row];
      longest = std::max(longest, joined[row]);
    }
    if (longest > std::numeric_limits<std::uint32_t>::max())
      throw std::invalid_argument("the columns' texts in one row are longer than 4 GiB together");
    // A null elsewhere in a row may make it longer than its parts; appending writes past the end.
    const std::size_t needed = total + rows * kNone.size() + 2 * kReadable;
    if (buffer_.size() < needed) buffer_.resize(needed);
  }

  std::vector<TextBatch> parts_;
  std::vector<std::uint8_t> separator_;
  std::size_t separator_length_;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace

void cross_bucket(std::span<const Column> columns, std::string_view separator, std::uint32_t bins,
                  std::span<std::int32_t> out, SimdLevel level) {
  assert(columns.size() >= 2 && bins >= 1 && bins <= kMaxBins);
  const BucketModulus modulus(bins);
  JoinedTexts joined(columns.size(), separator);
  for (std::size_t begin = 0; begin < out.size(); begin += TextBatch::kRows) {
    const std::size_t rows = std::min(TextBatch::kRows, out.size() - begin);
    for (std::size_t i = 0; i < columns.size(); ++i)
      joined.part(i).read(columns[i], begin, rows, TextStyle::spark);
    joined.join(rows);
    md5_bucket_texts(joined.bytes.data(), joined.lengths.data(), rows, modulus, out.data() + begin,
                     level);
  }
}

}  // namespace friesian
