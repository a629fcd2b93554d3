#include "sequence/negatives.hpp"

#include <algorithm>
#include <vector>

#include "sequence/draws.hpp"

namespace friesian {

namespace {

// Up to so many excluded items, comparing with all of them is cheaper than a binary search.
constexpr std::size_t kLinear = 24;

// The items from 1 to `last`, without a set, numbered from 0 on.
template <typename Item>
class Allowed {
 public:
  explicit Allowed(Item last) : last_(last) {}

  void exclude(std::span<const Item> set) {
    excluded_.clear();
    for (const Item item : set)
      if (item >= 1 && item <= last_) excluded_.push_back(item);
    std::sort(excluded_.begin(), excluded_.end());
    excluded_.erase(std::unique(excluded_.begin(), excluded_.end()), excluded_.end());
    // How many allowed items lie below each excluded one: from there on, numbers shift by one more.
    for (std::size_t i = 0; i < excluded_.size(); ++i)
      excluded_[i] = static_cast<Item>(excluded_[i] - 1 - static_cast<Item>(i));
  }

  [[nodiscard]] std::uint64_t count() const noexcept {
    return static_cast<std::uint64_t>(last_) - excluded_.size();
  }

  [[nodiscard]] Item at(Item number) const noexcept {
    const std::size_t below = excluded_.size() <= kLinear ? scan(number) : search(number);
    return static_cast<Item>(number + 1 + static_cast<Item>(below));
  }

 private:
  [[nodiscard]] std::size_t scan(Item number) const noexcept {
    Item below = 0;
    for (const Item shift : excluded_) below = static_cast<Item>(below + (shift <= number));
    return static_cast<std::size_t>(below);
  }

  // How many shifts are at or below the number, without a branch that depends on the draw.
  [[nodiscard]] std::size_t search(Item number) const noexcept {
    const Item* at = excluded_.data();
    for (std::size_t left = excluded_.size(); left > 1; left -= left / 2)
      at += at[left / 2 - 1] <= number ? left / 2 : 0;
    return static_cast<std::size_t>(at - excluded_.data()) + (*at <= number);
  }

  Item last_;
  std::vector<Item> excluded_;
};

}  // namespace

template <typename Item>
std::optional<std::size_t> draw_negatives(std::span<const std::uint64_t> keys,
                                          std::span<const std::int64_t> ends,
                                          const ItemSets<Item>& sets,
                                          std::span<const std::int64_t> sets_of, Item last_item,
                                          std::span<Item> out) {
  Allowed<Item> allowed(last_item);
  std::int64_t prepared = -1;
  for (std::size_t row = 0; row < keys.size(); ++row) {
    if (ends[row] == ends[row + 1]) continue;
    if (sets_of[row] != prepared) {
      prepared = sets_of[row];
      const auto set = static_cast<std::size_t>(prepared);
      allowed.exclude(sets.values.subspan(static_cast<std::size_t>(sets.starts[set]),
                                          static_cast<std::size_t>(sets.lengths[set])));
    }
    if (allowed.count() == 0) return row;
    Draws draws(keys[row]);
    const std::uint64_t count = allowed.count();
    for (auto i = ends[row]; i < ends[row + 1]; ++i)
      out[static_cast<std::size_t>(i)] = allowed.at(static_cast<Item>(draws.below(count)));
  }
  return std::nullopt;
}

template std::optional<std::size_t> draw_negatives(std::span<const std::uint64_t>,
                                                   std::span<const std::int64_t>,
                                                   const ItemSets<std::int32_t>&,
                                                   std::span<const std::int64_t>, std::int32_t,
                                                   std::span<std::int32_t>);
template std::optional<std::size_t> draw_negatives(std::span<const std::uint64_t>,
                                                   std::span<const std::int64_t>,
                                                   const ItemSets<std::int64_t>&,
                                                   std::span<const std::int64_t>, std::int64_t,
                                                   std::span<std::int64_t>);

}  // namespace friesian
