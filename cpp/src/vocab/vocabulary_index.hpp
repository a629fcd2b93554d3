#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/column.hpp"

namespace friesian {

// string → id: values[i] has id i + 1. Borrows `values`, a column of strings, which must outlive
// it. Never changes, so any number of threads may look up.
//
// Open addressing with linear probing over slots of 64 bits: the upper half of the hash, then the
// id; 0 is free. The slots depend on the values only, so they can be kept and shared as they are.
class VocabularyIndex {
 public:
  // Throws std::invalid_argument on a null, on a value that is there twice, on 2^31 - 1 values or
  // more.
  explicit VocabularyIndex(const Column& values);

  // With slots() of an index of the same values, borrowed as well. Throws std::invalid_argument if
  // there are not as many as that many values need; damaged ones make strings unknown, no more.
  VocabularyIndex(const Column& values, std::span<const std::uint64_t> slots);

  VocabularyIndex(const VocabularyIndex&) = delete;
  VocabularyIndex& operator=(const VocabularyIndex&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return values_.length; }
  [[nodiscard]] std::span<const std::uint64_t> slots() const noexcept { return slots_; }

  // out[i] = the id of strings[i], 0 when unknown or null.
  void lookup(const Column& strings, std::span<std::int32_t> out) const;

  // out[i] = the smallest id among the known pieces of strings[i], 0 when there is none.
  void lookup_split_min(const Column& strings, std::string_view separator,
                        std::span<std::int32_t> out) const;

  // The id of `text`, 0 when unknown; `hash` is hash_bytes of it.
  [[nodiscard]] std::int32_t find(std::string_view text, std::uint64_t hash) const noexcept;

  // As of StringTable.
  void prefetch_slot(std::uint64_t hash) const noexcept {
    __builtin_prefetch(&slots_[hash & mask_]);
  }
  void prefetch_entry(std::uint64_t hash) const noexcept;
  void prefetch_text(std::uint64_t hash) const noexcept;

 private:
  Column values_;
  std::vector<std::uint64_t> own_slots_;
  std::span<const std::uint64_t> slots_;
  std::uint64_t mask_;
};

}  // namespace friesian
