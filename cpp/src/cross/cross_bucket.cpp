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
#include "hash/xxh3_bucket.hpp"

namespace friesian {

namespace {

constexpr std::string_view kNone = "None";
constexpr std::uint32_t kShortPart = 32;

// Copies a whole register, whatever the length: what is too much is overwritten by the next part.
// The buffer has kReadable bytes to spare at its end, as every short text has.
template <bool AllShort>
std::uint8_t* append(std::uint8_t* to, const std::uint8_t* from, std::uint32_t length) {
  if (AllShort || length <= kShortPart)
    std::memcpy(to, from, kShortPart);
  else
    std::memcpy(to, from, length);
  return to + length;
}

// The joined texts of one batch of rows, one after another in a buffer that is used again and
// again.
class JoinedTexts {
 public:
  JoinedTexts(std::size_t parts, std::string_view separator)
      : parts_(parts),
        separator_(std::max(separator.size(), kReadable)),
        separator_length_(static_cast<std::uint32_t>(separator.size())) {
    std::copy(separator.begin(), separator.end(), separator_.begin());
  }

  TextBatch& part(std::size_t index) { return parts_[index]; }

  void join(std::size_t rows) {
    const bool nulls = std::any_of(parts_.begin(), parts_.end(),
                                   [](const TextBatch& part) { return part.has_nulls; });
    const bool all_short = std::all_of(parts_.begin(), parts_.end(), [](const TextBatch& part) {
      return part.longest <= kShortPart;
    });
    reserve(rows);
    if (nulls)
      join_rows<false, true>(rows);
    else if (all_short && separator_length_ <= kShortPart)
      join_rows<true, false>(rows);
    else
      join_rows<false, false>(rows);
  }

  std::array<const std::uint8_t*, TextBatch::kRows> bytes;
  std::array<std::uint32_t, TextBatch::kRows> lengths;
  std::uint32_t longest = 0;

 private:
  template <bool AllShort, bool Nulls>
  void join_rows(std::size_t rows) {
    std::uint8_t* at = buffer_.data();
    longest = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      bytes[row] = at;
      if (Nulls && has_null(row))
        at = std::copy(kNone.begin(), kNone.end(), at);
      else
        at = join_row<AllShort>(row, at);
      lengths[row] = static_cast<std::uint32_t>(at - bytes[row]);
      longest = std::max(longest, lengths[row]);
    }
  }

  template <bool AllShort>
  std::uint8_t* join_row(std::size_t row, std::uint8_t* at) const {
    at = append<AllShort>(at, parts_[0].bytes[row], parts_[0].lengths[row]);
    for (std::size_t i = 1; i < parts_.size(); ++i) {
      if (separator_length_ != 0) at = append<AllShort>(at, separator_.data(), separator_length_);
      at = append<AllShort>(at, parts_[i].bytes[row], parts_[i].lengths[row]);
    }
    return at;
  }

  [[nodiscard]] bool has_null(std::size_t row) const {
    return std::any_of(parts_.begin(), parts_.end(),
                       [row](const TextBatch& part) { return part.has_nulls && part.nulls[row]; });
  }

  void reserve(std::size_t rows) {
    const std::uint64_t separators = std::uint64_t{separator_length_} * (parts_.size() - 1);
    std::uint64_t longest_row = separators, total = rows * (separators + kNone.size());
    for (const TextBatch& part : parts_) {
      longest_row += part.longest;
      total += part.total;
    }
    if (longest_row > std::numeric_limits<std::uint32_t>::max())
      throw std::invalid_argument("the columns' texts are longer than 4 GiB together in one row");
    if (buffer_.size() < total + kReadable) buffer_.resize(total + kReadable);
  }

  std::vector<TextBatch> parts_;
  std::vector<std::uint8_t> separator_;
  std::uint32_t separator_length_;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace

void cross_bucket(std::span<const Column> columns, std::string_view separator, TextHash hash,
                  std::uint32_t bins, std::span<std::int32_t> out, SimdLevel level) {
  assert(columns.size() >= 2 && bins >= 1 && bins <= kMaxBins);
  const BucketModulus modulus(bins);
  JoinedTexts joined(columns.size(), separator);
  for (std::size_t begin = 0; begin < out.size(); begin += TextBatch::kRows) {
    const std::size_t rows = std::min(TextBatch::kRows, out.size() - begin);
    for (std::size_t i = 0; i < columns.size(); ++i)
      joined.part(i).read(columns[i], begin, rows, TextStyle::spark);
    joined.join(rows);
    if (hash == TextHash::xxh3)
      xxh3_bucket_texts(joined.bytes.data(), joined.lengths.data(), rows, bins, out.data() + begin);
    else
      md5_bucket_texts(joined.bytes.data(), joined.lengths.data(), rows, joined.longest, modulus,
                       out.data() + begin, level);
  }
}

}  // namespace friesian
