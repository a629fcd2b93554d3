#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/bytes_hash.hpp"
#include "common/column.hpp"

namespace friesian {

// Row `row` of a string column, which is not null.
[[nodiscard]] inline std::string_view string_at(const Column& column, std::size_t row) noexcept {
  const auto* data = static_cast<const char*>(column.values);
  const auto cut = [&](const auto* offsets) -> std::string_view {
    const auto* at = offsets + column.offset + row;
    const auto length = static_cast<std::size_t>(at[1] - at[0]);
    return length == 0 ? std::string_view() : std::string_view(data + at[0], length);
  };
  if (column.type == ColumnType::large_string)
    return cut(static_cast<const std::int64_t*>(column.offsets));
  return cut(static_cast<const std::int32_t*>(column.offsets));
}

template <typename Offset, typename Row>
void for_each_string_of(const Column& column, const Row& row) {
  const auto* data = static_cast<const char*>(column.values);
  const auto* offsets = static_cast<const Offset*>(column.offsets) + column.offset;
  for (std::size_t i = 0; i < column.length; ++i) {
    if (column.is_null(i)) continue;
    const auto length = static_cast<std::size_t>(offsets[i + 1] - offsets[i]);
    row(i, length == 0 ? std::string_view() : std::string_view(data + offsets[i], length));
  }
}

// Calls row(i, text) on every row of a string column that is not null.
template <typename Row>
void for_each_string(const Column& column, const Row& row) {
  if (column.type == ColumnType::large_string)
    for_each_string_of<std::int64_t>(column, row);
  else
    for_each_string_of<std::int32_t>(column, row);
}

// Collects strings, hashes them and starts fetching their slots; `use(tag, text, hash)` then finds
// the slots in the cache. A table of millions of strings would otherwise wait for memory on each
// one.
template <typename Table, typename Use>
class HashedBatch {
 public:
  HashedBatch(const Table& table, const Use& use) : table_(table), use_(use) {}
  HashedBatch(const HashedBatch&) = delete;
  HashedBatch& operator=(const HashedBatch&) = delete;

  void put(std::size_t tag, std::string_view text) {
    const std::uint64_t hash = hash_bytes(text.data(), text.size());
    table_.prefetch_slot(hash);
    pending_[count_++] = {tag, text, hash};
    if (count_ == pending_.size()) flush();
  }

  void flush() {
    for (std::size_t i = 0; i < count_; ++i) table_.prefetch_entry(pending_[i].hash);
    for (std::size_t i = 0; i < count_; ++i) table_.prefetch_text(pending_[i].hash);
    for (std::size_t i = 0; i < count_; ++i)
      use_(pending_[i].tag, pending_[i].text, pending_[i].hash);
    count_ = 0;
  }

 private:
  struct Pending {
    std::size_t tag;
    std::string_view text;
    std::uint64_t hash;
  };

  const Table& table_;
  const Use& use_;
  std::array<Pending, 32> pending_;
  std::size_t count_ = 0;
};

}  // namespace friesian
