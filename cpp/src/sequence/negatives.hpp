#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace friesian {

// Sets of item ids that must not be drawn: set i is the `lengths[i]` values from `starts[i]`, in
// any order, repeated or not, some perhaps no items at all.
template <typename Item>
struct ItemSets {
  std::span<const Item> values;
  std::span<const std::int64_t> starts;
  std::span<const std::int64_t> lengths;
};

// Draws items uniformly from 1 to last_item, without those of a set; each draw is exact, none is
// tried again because it met the set. Row i takes out[ends[i]] to out[ends[i + 1]], by the stream
// of keys[i], and leaves out the set sets_of[i]; a set that consecutive rows share is prepared
// once. Same bits on every machine. Returns the first row for which nothing is left to draw, if
// any: the output is then incomplete. Item is std::int32_t or std::int64_t.
template <typename Item>
[[nodiscard]] std::optional<std::size_t> draw_negatives(std::span<const std::uint64_t> keys,
                                                        std::span<const std::int64_t> ends,
                                                        const ItemSets<Item>& sets,
                                                        std::span<const std::int64_t> sets_of,
                                                        Item last_item, std::span<Item> out);

}  // namespace friesian
