#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/column.hpp"
#include "vocab/string_table.hpp"
#include "vocab/string_values.hpp"

namespace friesian {

// Counts distinct strings, or, with a separator, the pieces that split_java cuts them into. Nulls
// do not count. Not for several threads at once.
class VocabularyBuilder {
 public:
  explicit VocabularyBuilder(std::optional<std::string> separator);

  void add(const Column& strings);

  // What was counted at least `freq_limit` times, by falling count, then by rising bytes.
  [[nodiscard]] CountedStrings finish(std::int64_t freq_limit) const;

  // All that was counted, by rising bytes: a run for merge_runs.
  [[nodiscard]] CountedStrings run() const;

  [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }

 private:
  std::optional<std::string> separator_;
  StringTable table_;
  GrowingArray<std::int64_t> counts_;
};

}  // namespace friesian
