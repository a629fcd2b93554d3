#include "ivf/filter_set.hpp"

#include <algorithm>
#include <vector>

#include "common/bitmap.hpp"

namespace friesian {

namespace {

constexpr KernelTable<kernels::FilterSetInt32> kFilterSetInt32{{
    kernels::filter_set_int32_scalar,
    FRIESIAN_X86_KERNEL(kernels::filter_set_int32_avx2),
    FRIESIAN_X86_KERNEL(kernels::filter_set_int32_avx512),
}};

// A table of this many bits, 512 KB, still lies in the second-level cache of today's servers.
constexpr std::uint64_t kLargestTable = std::uint64_t{1} << 22;

template <typename T>
void search_each(std::span<const T> values, std::span<const T> wanted, std::uint64_t* out) {
  std::fill_n(out, bitmap_words(values.size()), std::uint64_t{0});
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] == values[i] && std::binary_search(wanted.begin(), wanted.end(), values[i]))
      bitmap_set(out, i);  // NaN is in no set, though a search would find it in any
}

}  // namespace

// Codes of strings come this way: they are dense, so one look into a table answers.
template <>
void filter_set(std::span<const std::int32_t> values, std::span<const std::int32_t> wanted,
                SimdLevel level, std::uint64_t* out) {
  const std::uint64_t span =
      wanted.empty() ? 0
                     : static_cast<std::uint64_t>(std::int64_t{wanted.back()} - wanted.front()) + 1;
  if (span > kLargestTable) return search_each(values, wanted, out);
  std::vector<std::uint64_t> table(bitmap_words(span));
  for (const std::int32_t value : wanted)
    bitmap_set(table.data(),
               static_cast<std::size_t>(std::int64_t{value} - std::int64_t{wanted.front()}));
  kFilterSetInt32.at(level)(values.data(), values.size(), wanted.empty() ? 0 : wanted.front(),
                            table.data(), static_cast<std::uint32_t>(span), out);
}

template <>
void filter_set(std::span<const std::int64_t> values, std::span<const std::int64_t> wanted,
                SimdLevel, std::uint64_t* out) {
  search_each(values, wanted, out);
}

template <>
void filter_set(std::span<const float> values, std::span<const float> wanted, SimdLevel,
                std::uint64_t* out) {
  search_each(values, wanted, out);
}

template <>
void filter_set(std::span<const double> values, std::span<const double> wanted, SimdLevel,
                std::uint64_t* out) {
  search_each(values, wanted, out);
}

}  // namespace friesian
