#include "sequence/negatives.hpp"

#include <algorithm>
#include <vector>

#include "sequence/draws.hpp"

namespace friesian {

namespace {

// Up to so many excluded items, comparing with all of them is cheaper than a binary search: the
// comparisons are those of many draws at once.
constexpr std::size_t kLinear = 128;

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
  }

  [[nodiscard]] std::uint64_t count() const noexcept {
    return static_cast<std::uint64_t>(last_) - excluded_.size();
  }

  // Turns numbers into their items.
  void number_to_item(std::span<Item> numbers) const noexcept {
    for (Item& number : numbers) ++number;
    if (excluded_.size() <= kLinear) {
      for (const Item excluded : excluded_)
        for (Item& item : numbers) item = static_cast<Item>(item + (item >= excluded));
    } else {
      for (Item& item : numbers) item = static_cast<Item>(item + below(item));
    }
  }

 private:
  // How many excluded items an item steps over: the i-th counts if it is not above item + i.
  [[nodiscard]] Item below(Item item) const noexcept {
    std::size_t low = 0;
    std::size_t high = excluded_.size();
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (excluded_[middle] - static_cast<Item>(middle) <= item)
        low = middle + 1;
      else
        high = middle;
    }
    return static_cast<Item>(low);
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
    const auto of_row = out.subspan(static_cast<std::size_t>(ends[row]),
                                    static_cast<std::size_t>(ends[row + 1] - ends[row]));
    for (Item& number : of_row) number = static_cast<Item>(draws.below(allowed.count()));
    allowed.number_to_item(of_row);
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
