#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/growing_array.hpp"

namespace friesian {

// Distinct strings, numbered 0, 1, 2… as they come. Open addressing with linear probing; a slot is
// 32 bits of the hash and the number plus one, so that almost every miss is seen without reading a
// string.
class StringTable {
 public:
  static constexpr std::uint32_t kMissing = 0xffffffff;

  explicit StringTable(std::size_t expected = 0);

  // The number of `text`, new or known; `hash` is hash_bytes of it.
  std::uint32_t intern(std::string_view text, std::uint64_t hash);

  // The number of `text`, or kMissing.
  [[nodiscard]] std::uint32_t find(std::string_view text, std::uint64_t hash) const noexcept;

  // Start fetching what intern and find will read: first the slot, then, once that is there, the
  // entry it names, then that entry's string. Worth it when other strings are prepared in between.
  void prefetch_slot(std::uint64_t hash) const noexcept {
    __builtin_prefetch(&slots_[hash & mask_]);
  }
  void prefetch_entry(std::uint64_t hash) const noexcept {
    const std::uint64_t slot = slots_[hash & mask_];
    if (slot != 0) __builtin_prefetch(&entries_[static_cast<std::uint32_t>(slot) - 1]);
  }
  void prefetch_text(std::uint64_t hash) const noexcept {
    const std::uint64_t slot = slots_[hash & mask_];
    if (slot != 0) __builtin_prefetch((*this)[static_cast<std::uint32_t>(slot) - 1].data());
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

  [[nodiscard]] std::string_view operator[](std::size_t number) const noexcept {
    const Entry& entry = entries_[number];
    return {bytes_.data() + entry.begin, entry.length};
  }

  // Start fetching what operator[] will read: the entry, then its string.
  void prefetch_entry_of(std::size_t number) const noexcept {
    __builtin_prefetch(&entries_[number]);
  }
  void prefetch_text_of(std::size_t number) const noexcept {
    __builtin_prefetch((*this)[number].data());
  }

 private:
  struct Entry {
    std::uint64_t hash;
    std::uint64_t begin;
    std::size_t length;
  };

  void grow(std::size_t slots);

  std::vector<std::uint64_t> slots_;
  std::uint64_t mask_ = 0;
  GrowingArray<Entry> entries_;
  GrowingArray<char> bytes_;
};

}  // namespace friesian
