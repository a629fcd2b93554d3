#include "vocab/string_table.hpp"

#include <bit>
#include <stdexcept>

namespace friesian {

namespace {

constexpr std::size_t kFewestSlots = 64;
constexpr std::uint64_t kHashBits = 0xffffffff00000000;

}  // namespace

StringTable::StringTable(std::size_t expected) {
  entries_.reserve(expected);
  grow(std::bit_ceil(expected * 2 + kFewestSlots));
}

void StringTable::grow(std::size_t slots) {
  slots_.assign(slots, 0);
  mask_ = slots - 1;
  for (std::size_t number = 0; number < entries_.size(); ++number) {
    const std::uint64_t hash = entries_[number].hash;
    std::uint64_t at = hash & mask_;
    while (slots_[at] != 0) at = (at + 1) & mask_;
    slots_[at] = (hash & kHashBits) | (number + 1);
  }
}

std::uint32_t StringTable::find(std::string_view text, std::uint64_t hash) const noexcept {
  for (std::uint64_t at = hash & mask_; slots_[at] != 0; at = (at + 1) & mask_) {
    if ((slots_[at] & kHashBits) != (hash & kHashBits)) continue;
    const auto number = static_cast<std::uint32_t>(slots_[at]) - 1;
    if ((*this)[number] == text) return number;
  }
  return kMissing;
}

std::uint32_t StringTable::intern(std::string_view text, std::uint64_t hash) {
  std::uint64_t at = hash & mask_;
  for (; slots_[at] != 0; at = (at + 1) & mask_) {
    if ((slots_[at] & kHashBits) != (hash & kHashBits)) continue;
    const auto number = static_cast<std::uint32_t>(slots_[at]) - 1;
    if ((*this)[number] == text) return number;
  }
  const std::size_t number = entries_.size();
  if (number == kMissing - 1)
    throw std::length_error("a vocabulary holds at most 2^32 - 2 strings");
  entries_.push_back({hash, bytes_.size(), text.size()});
  bytes_.append(text.data(), text.size());
  slots_[at] = (hash & kHashBits) | (number + 1);
  if (entries_.size() * 2 > slots_.size()) grow(slots_.size() * 2);
  return static_cast<std::uint32_t>(number);
}

}  // namespace friesian
