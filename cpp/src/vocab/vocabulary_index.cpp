#include "vocab/vocabulary_index.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>
#include <stdexcept>
#include <string>

#include "vocab/split.hpp"
#include "vocab/string_rows.hpp"

namespace friesian {

namespace {

constexpr std::uint64_t kHashBits = 0xffffffff00000000;

// At most three quarters are taken; there is always a free one, where every search ends.
std::size_t slots_for(std::size_t values) { return std::bit_ceil(values + values / 3 + 16); }

std::size_t id_of(std::uint64_t slot) { return slot & ~kHashBits; }

}  // namespace

VocabularyIndex::VocabularyIndex(const Column& values)
    : values_(values), own_slots_(slots_for(values.length), 0), mask_(own_slots_.size() - 1) {
  if (values.length >= std::numeric_limits<std::int32_t>::max())
    throw std::invalid_argument("a vocabulary has at most 2^31 - 2 values, got " +
                                std::to_string(values.length));
  slots_ = own_slots_;
  const auto insert = [this](std::size_t row, std::string_view text, std::uint64_t hash) {
    std::uint64_t at = hash & mask_;
    for (; own_slots_[at] != 0; at = (at + 1) & mask_)
      if ((own_slots_[at] & kHashBits) == (hash & kHashBits) &&
          string_at(values_, id_of(own_slots_[at]) - 1) == text)
        throw std::invalid_argument("values holds '" + std::string(text) + "' twice");
    own_slots_[at] = (hash & kHashBits) | (row + 1);
  };
  std::size_t seen = 0;
  HashedBatch batch(*this, insert);
  for_each_string(values, [&](std::size_t row, std::string_view text) {
    batch.put(row, text);
    ++seen;
  });
  batch.flush();
  if (seen != values.length)
    throw std::invalid_argument("values must not contain nulls; drop them first");
}

VocabularyIndex::VocabularyIndex(const Column& values, std::span<const std::uint64_t> slots)
    : values_(values), slots_(slots), mask_(slots.size() - 1) {
  if (slots.size() != slots_for(values.length))
    throw std::invalid_argument("an index of " + std::to_string(values.length) + " values has " +
                                std::to_string(slots_for(values.length)) + " slots, got " +
                                std::to_string(slots.size()));
}

std::int32_t VocabularyIndex::find(std::string_view text, std::uint64_t hash) const noexcept {
  std::uint64_t at = hash & mask_;
  // Bounded, so that damaged slots without a free one end as well.
  for (std::size_t tried = 0; tried <= mask_ && slots_[at] != 0; ++tried, at = (at + 1) & mask_) {
    const std::uint64_t slot = slots_[at];
    if ((slot & kHashBits) != (hash & kHashBits)) continue;
    const std::size_t number = id_of(slot) - 1;
    if (number < size() && string_at(values_, number) == text)
      return static_cast<std::int32_t>(number + 1);
  }
  return 0;
}

void VocabularyIndex::prefetch_entry(std::uint64_t hash) const noexcept {
  const std::size_t number = id_of(slots_[hash & mask_]) - 1;
  if (number >= size()) return;
  const std::size_t width = values_.type == ColumnType::large_string ? 8 : 4;
  __builtin_prefetch(static_cast<const char*>(values_.offsets) + (values_.offset + number) * width);
}

void VocabularyIndex::prefetch_text(std::uint64_t hash) const noexcept {
  const std::size_t number = id_of(slots_[hash & mask_]) - 1;
  if (number < size()) __builtin_prefetch(string_at(values_, number).data());
}

void VocabularyIndex::lookup(const Column& strings, std::span<std::int32_t> out) const {
  assert(out.size() == strings.length);
  std::fill(out.begin(), out.end(), 0);
  const auto set = [&](std::size_t row, std::string_view text, std::uint64_t hash) {
    out[row] = find(text, hash);
  };
  HashedBatch batch(*this, set);
  for_each_string(strings, [&](std::size_t row, std::string_view text) { batch.put(row, text); });
  batch.flush();
}

void VocabularyIndex::lookup_split_min(const Column& strings, std::string_view separator,
                                       std::span<std::int32_t> out) const {
  assert(out.size() == strings.length && !separator.empty());
  std::fill(out.begin(), out.end(), 0);
  const auto set = [&](std::size_t row, std::string_view text, std::uint64_t hash) {
    const std::int32_t id = find(text, hash);
    if (id != 0 && (out[row] == 0 || id < out[row])) out[row] = id;
  };
  HashedBatch batch(*this, set);
  for_each_string(strings, [&](std::size_t row, std::string_view text) {
    split_java(text, separator, [&](std::string_view piece) { batch.put(row, piece); });
  });
  batch.flush();
}

}  // namespace friesian
