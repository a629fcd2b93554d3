#include "vocab/vocabulary.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "vocab/split.hpp"
#include "vocab/string_rows.hpp"

namespace friesian {

namespace {

// What the order needs of a string, without following it: its count and its first 16 bytes after
// what all strings share. Only strings that agree in all of that are compared in full.
struct Ranked {
  std::int64_t count;
  std::uint64_t first, second;
  std::uint32_t number;
};

std::uint64_t big_endian_word(std::string_view text) {
  std::uint64_t word = 0;
  if (!text.empty()) std::memcpy(&word, text.data(), std::min<std::size_t>(text.size(), 8));
  return __builtin_bswap64(word);
}

std::string_view skip(std::string_view text, std::size_t size) {
  return text.substr(std::min(size, text.size()));
}

std::size_t shared_prefix(const StringTable& table, const std::vector<Ranked>& ranked) {
  if (ranked.empty()) return 0;
  const std::string_view first = table[ranked.front().number];
  std::size_t shared = first.size();
  for (const Ranked& entry : ranked) {
    const std::string_view text = table[entry.number];
    const std::size_t limit = std::min(shared, text.size());
    shared = static_cast<std::size_t>(
        std::mismatch(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(limit),
                      text.begin())
            .first -
        first.begin());
  }
  return shared;
}

void sort_by_count_then_bytes(const StringTable& table, std::vector<Ranked>& ranked) {
  const std::size_t shared = shared_prefix(table, ranked);
  for (Ranked& entry : ranked) {
    entry.first = big_endian_word(skip(table[entry.number], shared));
    entry.second = big_endian_word(skip(table[entry.number], shared + 8));
  }
  std::sort(ranked.begin(), ranked.end(), [&](const Ranked& a, const Ranked& b) {
    if (a.count != b.count) return a.count > b.count;
    if (a.first != b.first) return a.first < b.first;
    if (a.second != b.second) return a.second < b.second;
    return table[a.number] < table[b.number];  // char_traits<char> compares bytes as unsigned
  });
}

CountedStrings gather(const StringTable& table, const std::vector<std::int64_t>& counts,
                      const std::vector<Ranked>& ranked) {
  std::size_t total = 0;
  for (const Ranked& entry : ranked) total += table[entry.number].size();
  CountedStrings result{StringValues(ranked.size(), total), {}};
  result.counts.reserve(ranked.size());
  for (const Ranked& entry : ranked) {
    result.values.append(table[entry.number]);
    result.counts.push_back(counts[entry.number]);
  }
  return result;
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

CountedStrings VocabularyBuilder::finish(std::int64_t freq_limit) const {
  std::vector<Ranked> ranked;
  for (std::size_t number = 0; number < counts_.size(); ++number)
    if (counts_[number] >= freq_limit)
      ranked.push_back({counts_[number], 0, 0, static_cast<std::uint32_t>(number)});
  sort_by_count_then_bytes(table_, ranked);
  return gather(table_, counts_, ranked);
}

CountedStrings VocabularyBuilder::run() const {
  std::vector<Ranked> ranked(counts_.size());
  for (std::size_t number = 0; number < ranked.size(); ++number)
    ranked[number] = {0, 0, 0, static_cast<std::uint32_t>(number)};
  sort_by_count_then_bytes(table_, ranked);
  return gather(table_, counts_, ranked);
}

}  // namespace friesian
