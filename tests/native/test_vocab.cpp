#include <map>
#include <string>
#include <vector>

#include "check.hpp"
#include "vocab/merge_runs.hpp"
#include "vocab/vocabulary.hpp"
#include "vocab/vocabulary_index.hpp"

using namespace friesian;

namespace {

// Random words of few letters and separators, so that they repeat; every fifth row is null.
struct Words {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> offsets{0};
  std::vector<std::uint8_t> validity;

  explicit Words(std::size_t rows) : validity(rows / 8 + 1) {
    for (std::size_t row = 0; row < rows; ++row) {
      const std::uint64_t length = random_below(40);
      for (std::uint64_t i = 0; i < length / (1 + random_below(8)); ++i)
        bytes.push_back(static_cast<std::uint8_t>("ab,"[random_below(3)]));
      offsets.push_back(static_cast<std::int32_t>(bytes.size()));
      if (row % 5 != 0) validity[row / 8] |= static_cast<std::uint8_t>(1u << (row % 8));
    }
    bytes.shrink_to_fit();
  }

  [[nodiscard]] Column column() const {
    Column column;
    column.values = bytes.data();
    column.offsets = offsets.data();
    column.validity = validity.data();
    column.length = offsets.size() - 1;
    return column;
  }

  [[nodiscard]] std::string text(std::size_t row) const {
    const auto* begin = reinterpret_cast<const char*>(bytes.data());
    return {begin + offsets[row], begin + offsets[row + 1]};
  }
};

void counts_and_ids(std::size_t rows) {
  const Words words(rows);
  const Column column = words.column();
  VocabularyBuilder builder(std::nullopt);
  builder.add(column);
  const CountedStrings result = builder.finish(1);
  std::map<std::string, std::int64_t> counts;
  for (std::size_t row = 0; row < rows; ++row)
    if (!column.is_null(row)) ++counts[words.text(row)];
  CHECK(result.values.size() == counts.size());
  const Column values = column_of(result.values);
  const VocabularyIndex index(values);
  std::vector<std::int32_t> ids(rows);
  index.lookup(column, ids);
  for (std::size_t row = 0; row < rows; ++row) {
    CHECK((ids[row] == 0) == column.is_null(row));
    if (ids[row] != 0)
      CHECK(result.counts[static_cast<std::size_t>(ids[row]) - 1] == counts[words.text(row)]);
  }
}

void pieces(std::size_t rows) {
  const Words words(rows);
  const Column column = words.column();
  VocabularyBuilder builder(",");
  builder.add(column);
  const CountedStrings result = builder.finish(2);
  const Column values = column_of(result.values);
  const VocabularyIndex index(values);
  std::vector<std::int32_t> ids(rows);
  index.lookup_split_min(column, ",", ids);
  for (const std::int32_t id : ids)
    CHECK(id >= 0 && static_cast<std::size_t>(id) <= result.values.size());
}

// Cut into runs and merged, the strings are those of one builder; slots can be used again.
void runs_and_slots(std::size_t rows) {
  const Words words(rows);
  const Column column = words.column();
  VocabularyBuilder whole(std::nullopt);
  whole.add(column);
  std::vector<CountedStrings> parts;
  for (std::size_t cut = 0; cut < 3; ++cut) {
    VocabularyBuilder builder(std::nullopt);
    builder.add(column.slice(rows * cut / 3, rows * (cut + 1) / 3 - rows * cut / 3));
    parts.push_back(builder.run());
  }
  std::vector<CountedRun> runs;
  for (const CountedStrings& part : parts) runs.push_back({column_of(part.values), part.counts});
  for (const std::int64_t limit : {1, 2, 300}) {
    const CountedStrings expected = whole.finish(limit);
    const CountedStrings both = merge_runs(runs, limit);
    const StringValues& merged = both.values;
    CHECK(merged.bytes == expected.values.bytes);
    CHECK(merged.offsets == expected.values.offsets);
    CHECK(both.counts == expected.counts);
    const VocabularyIndex built(column_of(merged));
    std::vector<std::uint64_t> slots(built.slots().begin(), built.slots().end());
    const VocabularyIndex again(column_of(merged), slots);
    std::vector<std::int32_t> ids(rows), ids_again(rows);
    built.lookup(column, ids);
    again.lookup(column, ids_again);
    CHECK(ids == ids_again);
    for (std::uint64_t& slot : slots) slot = ~slot;  // damaged: wrong, but within bounds and finite
    again.lookup(column, ids_again);
  }
}

}  // namespace

void test_vocab() {
  for (const std::size_t rows : {0u, 1u, 31u, 33u, 2000u}) {
    counts_and_ids(rows);
    pieces(rows);
    runs_and_slots(rows);
  }
}
