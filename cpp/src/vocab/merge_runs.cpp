#include "vocab/merge_runs.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "vocab/string_rows.hpp"

namespace friesian {

namespace {

// Counts below this are sorted by being put where they belong. Nearly all are: most strings of a
// large vocabulary are rare.
constexpr std::size_t kFewCounts = 256;

// Where a run has been read to. Its first bytes, as a number, settle most comparisons.
struct Cursor {
  const CountedRun* run;
  std::uint32_t number;
  std::uint32_t row = 0;
  std::uint64_t first = 0;
  std::string_view text;

  bool load() {
    if (row == run->values.length) return false;
    text = string_at(run->values, row);
    first = 0;
    if (!text.empty()) std::memcpy(&first, text.data(), std::min<std::size_t>(text.size(), 8));
    first = __builtin_bswap64(first);
    return true;
  }

  bool next() {
    const std::string_view before = text;
    ++row;
    if (!load()) return false;
    if (text <= before) throw std::invalid_argument("the strings of a run must be in order");
    return true;
  }

  friend bool operator>(const Cursor& a, const Cursor& b) {
    return a.first != b.first ? a.first > b.first : a.text > b.text;
  }
};

struct Kept {
  std::int64_t count;
  std::uint32_t run, row;
};

class Ordered {
 public:
  void add(const Kept& kept, std::size_t bytes) {
    const auto count = static_cast<std::size_t>(kept.count);
    (count < kFewCounts ? rare_[count] : frequent_).push_back(kept);
    ++size_;
    bytes_ += bytes;
  }

  // What was added by rising bytes, by falling count.
  CountedStrings strings(std::span<const CountedRun> runs) {
    std::stable_sort(frequent_.begin(), frequent_.end(),
                     [](const Kept& a, const Kept& b) { return a.count > b.count; });
    CountedStrings result{StringValues(size_, bytes_), {}};
    result.counts.reserve(size_);
    const auto append = [&](const std::vector<Kept>& all) {
      for (const Kept& kept : all) {
        result.values.append(string_at(runs[kept.run].values, kept.row));
        result.counts.push_back(kept.count);
      }
    };
    append(frequent_);
    for (auto bucket = rare_.rbegin(); bucket != rare_.rend(); ++bucket) append(*bucket);
    return result;
  }

 private:
  std::array<std::vector<Kept>, kFewCounts> rare_;
  std::vector<Kept> frequent_;
  std::size_t size_ = 0, bytes_ = 0;
};

}  // namespace

CountedStrings merge_runs(std::span<const CountedRun> runs, std::int64_t freq_limit) {
  std::vector<Cursor> heap;  // the smallest string on top
  for (std::uint32_t number = 0; number < runs.size(); ++number) {
    Cursor cursor{&runs[number], number, 0, 0, {}};
    if (cursor.load()) heap.push_back(cursor);
  }
  const auto later = std::greater<Cursor>();
  std::make_heap(heap.begin(), heap.end(), later);
  Ordered ordered;
  Kept kept{0, 0, 0};
  std::string_view text;
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    Cursor& top = heap.back();
    if (kept.count == 0 || top.text != text) {
      if (kept.count >= freq_limit) ordered.add(kept, text.size());
      kept = {0, top.number, top.row};
      text = top.text;
    }
    kept.count += top.run->counts[top.row];
    if (top.next())
      std::push_heap(heap.begin(), heap.end(), later);
    else
      heap.pop_back();
  }
  if (kept.count >= freq_limit) ordered.add(kept, text.size());
  return ordered.strings(runs);
}

}  // namespace friesian
