#include "ivf/filter_bitmap.hpp"

#include <algorithm>
#include <bit>

#include "common/bitmap.hpp"

namespace friesian {

namespace {

// Whether a bit of [begin, end) is set.
bool any_between(std::span<const std::uint64_t> words, std::size_t begin, std::size_t end) {
  if (begin == end) return false;
  const std::uint64_t from = ~std::uint64_t{0} << (begin % 64);
  const std::uint64_t until = ~std::uint64_t{0} >> (63 - (end - 1) % 64);
  const std::size_t first = begin / 64, last = (end - 1) / 64;
  if (first == last) return (words[first] & from & until) != 0;
  if ((words[first] & from) != 0 || (words[last] & until) != 0) return true;
  for (std::size_t i = first + 1; i < last; ++i)
    if (words[i] != 0) return true;
  return false;
}

}  // namespace

std::size_t bitmap_count(std::span<const std::uint64_t> words) noexcept {
  std::size_t count = 0;
  for (const std::uint64_t word : words) count += static_cast<std::size_t>(std::popcount(word));
  return count;
}

void bitmap_lists(const IvfLayout& layout, std::span<const std::uint64_t> words,
                  std::uint64_t* out) noexcept {
  std::fill_n(out, bitmap_words(layout.nlist()), std::uint64_t{0});
  for (std::size_t list = 0; list < layout.nlist(); ++list)
    if (any_between(words, layout.list_begin(list), layout.list_begin(list + 1)))
      bitmap_set(out, list);
}

}  // namespace friesian
