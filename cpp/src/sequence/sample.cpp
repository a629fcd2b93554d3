#include "sequence/sample.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "sequence/draws.hpp"

namespace friesian {

void sample_positions(std::span<const std::uint64_t> keys, std::span<const std::int64_t> lengths,
                      std::int64_t times, std::int64_t items, std::span<std::int64_t> out) {
  const std::int64_t longest =
      lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::int64_t> order(static_cast<std::size_t>(longest));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::vector<std::size_t> swapped(static_cast<std::size_t>(items));
  auto* to = out.data();
  for (std::size_t row = 0; row < keys.size(); ++row) {
    Draws draws(keys[row]);
    const auto length = static_cast<std::uint64_t>(lengths[row]);
    for (std::int64_t time = 0; time < times; ++time) {
      // The first steps of a Fisher-Yates shuffle, undone again: a sample costs its own size only.
      for (std::size_t i = 0; i < swapped.size(); ++i) {
        swapped[i] = i + static_cast<std::size_t>(draws.below(length - i));
        std::swap(order[i], order[swapped[i]]);
        *to++ = order[i];
      }
      for (std::size_t i = swapped.size(); i-- > 0;) std::swap(order[i], order[swapped[i]]);
    }
  }
}

}  // namespace friesian
