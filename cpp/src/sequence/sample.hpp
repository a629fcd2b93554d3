#pragma once
#include <cstdint>
#include <span>

namespace friesian {

// Draws `times` ordered samples of `items` different positions for each row, from the lengths[i]
// positions counted from 0, by the stream of keys[i]. `out` has room for keys.size() * times *
// items positions; items <= lengths[i] for every row. Same bits on every machine.
void sample_positions(std::span<const std::uint64_t> keys, std::span<const std::int64_t> lengths,
                      std::int64_t times, std::int64_t items, std::span<std::int64_t> out);

}  // namespace friesian
