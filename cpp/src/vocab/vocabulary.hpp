#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/column.hpp"
#include "vocab/string_table.hpp"

namespace friesian {

// Strings in Arrow's layout, with 32-bit offsets where they suffice, else `large_offsets`.
struct StringValues {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> offsets;
  std::vector<std::int64_t> large_offsets;

  [[nodiscard]] bool is_large() const noexcept { return !large_offsets.empty(); }
  [[nodiscard]] std::size_t size() const noexcept {
    return (is_large() ? large_offsets.size() : offsets.size()) - 1;
  }
};

struct CountedStrings {
  StringValues values;
  std::vector<std::int64_t> counts;
};

// Counts distinct strings, or, with a separator, the pieces that split_java cuts them into. Nulls
// do not count. Not for several threads at once.
class VocabularyBuilder {
 public:
  explicit VocabularyBuilder(std::optional<std::string> separator);

  void add(const Column& strings);

  // Adds counts gathered elsewhere; counts[i] belongs to values[i], each at least 1, no nulls.
  void merge(const Column& values, std::span<const std::int64_t> counts);

  // What was counted at least `freq_limit` times, by falling count, then by rising bytes.
  [[nodiscard]] CountedStrings finish(std::int64_t freq_limit) const;

  [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }

 private:
  std::optional<std::string> separator_;
  StringTable table_;
  std::vector<std::int64_t> counts_;
};

// string → id: values[i] has id i + 1. Never changes, so any number of threads may look up.
class VocabularyIndex {
 public:
  // Throws std::invalid_argument on a null, on a value that is there twice, on 2^31 - 1 values or
  // more.
  explicit VocabularyIndex(std::span<const Column> values);

  [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }

  // out[i] = the id of strings[i], 0 when unknown or null.
  void lookup(const Column& strings, std::span<std::int32_t> out) const;

  // out[i] = the smallest id among the known pieces of strings[i], 0 when there is none.
  void lookup_split_min(const Column& strings, std::string_view separator,
                        std::span<std::int32_t> out) const;

 private:
  StringTable table_;
};

}  // namespace friesian
