#include "vocab/vocabulary.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "vocab/merge_runs.hpp"
#include "vocab/split.hpp"
#include "vocab/string_rows.hpp"

namespace friesian {

namespace {

// What the order needs of a string, without following it: its first 8 bytes after what all strings
// share. Only strings that agree in those are compared in full.
struct Ranked {
  std::uint64_t first;
  std::uint32_t number;
};

// From so many strings on they are first dealt out by their first 16 bits: parts that fit the cache
// are sorted in half the time.
constexpr std::size_t kDealtFrom = 1 << 16;
constexpr std::size_t kParts = 1 << 16;

// How far ahead strings in random places are fetched.
constexpr std::size_t kAhead = 16;

std::uint64_t big_endian_word(std::string_view text) {
  std::uint64_t word = 0;
  if (!text.empty()) std::memcpy(&word, text.data(), std::min<std::size_t>(text.size(), 8));
  return __builtin_bswap64(word);
}

std::string_view skip(std::string_view text, std::size_t size) {
  return text.substr(std::min(size, text.size()));
}

std::size_t shared_prefix(const StringTable& table) {
  if (table.size() == 0) return 0;
  const std::string_view first = table[0];
  std::size_t shared = first.size();
  for (std::size_t number = 1; number < table.size() && shared > 0; ++number) {
    const std::string_view text = table[number];
    const std::size_t limit = std::min(shared, text.size());
    shared = static_cast<std::size_t>(
        std::mismatch(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(limit),
                      text.begin())
            .first -
        first.begin());
  }
  return shared;
}

// Calls use(number, first) for every string.
template <typename Use>
void for_each_first(const StringTable& table, const Use& use) {
  const std::size_t shared = shared_prefix(table);
  for (std::size_t number = 0; number < table.size(); ++number)
    use(static_cast<std::uint32_t>(number), big_endian_word(skip(table[number], shared)));
}

// The strings by rising bytes.
std::vector<Ranked> ranked(const StringTable& table) {
  const auto before = [&](const Ranked& a, const Ranked& b) {
    if (a.first != b.first) return a.first < b.first;
    return table[a.number] < table[b.number];  // char_traits<char> compares bytes as unsigned
  };
  const std::size_t shift = table.size() < kDealtFrom ? 63u : 48u;
  std::vector<std::size_t> ends((kParts >> (shift - 48)) + 1);  // of one part, or of all
  for_each_first(table, [&](std::uint32_t, std::uint64_t first) { ++ends[(first >> shift) + 1]; });
  for (std::size_t part = 1; part < ends.size(); ++part) ends[part] += ends[part - 1];
  std::vector<Ranked> sorted(table.size());
  for_each_first(table, [&](std::uint32_t number, std::uint64_t first) {
    sorted[ends[first >> shift]++] = {first, number};
  });
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    std::sort(sorted.begin() + static_cast<std::ptrdiff_t>(begin),
              sorted.begin() + static_cast<std::ptrdiff_t>(end), before);
    begin = end;
  }
  return sorted;
}

}  // namespace

VocabularyBuilder::VocabularyBuilder(std::optional<std::string> separator)
    : separator_(std::move(separator)) {
  if (separator_ && separator_->empty()) throw std::invalid_argument("separator must not be empty");
}

void VocabularyBuilder::add(const Column& strings) {
  const auto count = [this](std::size_t, std::string_view text, std::uint64_t hash) {
    const std::uint32_t number = table_.intern(text, hash);
    if (number == counts_.size()) counts_.push_back(0);
    ++counts_[number];
  };
  HashedBatch batch(table_, count);
  if (separator_)
    for_each_string(strings, [&](std::size_t row, std::string_view text) {
      split_java(text, *separator_, [&](std::string_view piece) { batch.put(row, piece); });
    });
  else
    for_each_string(strings, [&](std::size_t row, std::string_view text) { batch.put(row, text); });
  batch.flush();
}

CountedStrings VocabularyBuilder::run() const {
  const std::vector<Ranked> order = ranked(table_);
  std::size_t total = 0;
  for (std::size_t number = 0; number < table_.size(); ++number) total += table_[number].size();
  CountedStrings result{StringValues(order.size(), total), {}};
  result.counts.reserve(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i + 2 * kAhead < order.size()) table_.prefetch_entry_of(order[i + 2 * kAhead].number);
    if (i + kAhead < order.size()) {
      table_.prefetch_text_of(order[i + kAhead].number);
      __builtin_prefetch(&counts_[order[i + kAhead].number]);
    }
    result.values.append(table_[order[i].number]);
    result.counts.push_back(counts_[order[i].number]);
  }
  return result;
}

CountedStrings VocabularyBuilder::finish(std::int64_t freq_limit) const {
  const CountedStrings all = run();
  const CountedRun only{column_of(all.values), all.counts};
  return merge_runs({&only, 1}, freq_limit);
}

}  // namespace friesian
