#pragma once
#include <cstdint>
#include <span>

#include "common/column.hpp"

namespace friesian {

// Mixes a column into the keys of its rows: keys[i] depends on what it was and on the value of row
// i, and neither on the other rows nor on the width of an integer's type. A null differs from every
// value, a float64 goes by its bits. `keys` is as long as the column.
void mix_column(const Column& column, std::span<std::uint64_t> keys) noexcept;

// The same for a column of lists: row i is the `lengths[i]` elements from `starts[i]`, whose own
// keys are `elements`; a length below 0 is a null.
void mix_lists(std::span<const std::uint64_t> elements, std::span<const std::int64_t> starts,
               std::span<const std::int64_t> lengths, std::span<std::uint64_t> keys) noexcept;

}  // namespace friesian
