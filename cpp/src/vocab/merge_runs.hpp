#pragma once
#include <cstdint>
#include <span>

#include "common/column.hpp"
#include "vocab/string_values.hpp"

namespace friesian {

// Distinct strings by rising bytes, no nulls, and how often each was counted.
struct CountedRun {
  Column values;
  std::span<const std::int64_t> counts;
};

// The strings whose counts over all runs come to at least `freq_limit`, by falling count, then by
// rising bytes. Reads each run front to back once and holds 16 bytes for each string that stays,
// besides the result: no table of them. Throws std::invalid_argument if a run is not in order.
CountedStrings merge_runs(std::span<const CountedRun> runs, std::int64_t freq_limit);

}  // namespace friesian
