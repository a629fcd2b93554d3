#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "check.hpp"
#include "sequence/draws.hpp"
#include "sequence/history.hpp"
#include "sequence/lists.hpp"
#include "sequence/negatives.hpp"
#include "sequence/row_keys.hpp"
#include "sequence/sample.hpp"

using namespace friesian;

namespace {

using Longs = std::vector<std::int64_t>;

void known_draws() {
  Draws draws(0);
  CHECK(draws.next() == 0xE220A8397B1DCDAF);
  CHECK(draws.next() == 0x6E789E6AA1B965F4);
  for (const std::uint64_t end : {1u, 2u, 3u, 1000u})
    for (int i = 0; i < 100; ++i) CHECK(draws.below(end) < end);
}

template <typename Item>
void negatives(std::size_t set_size, std::size_t count) {
  std::vector<Item> set(set_size);
  for (Item& item : set) item = static_cast<Item>(random_below(3 * set_size + 8));
  const Longs starts{0, 0};
  const Longs lengths{static_cast<std::int64_t>(set_size), 0};
  const Longs ends{0, static_cast<std::int64_t>(count), static_cast<std::int64_t>(count) + 3};
  const std::vector<std::uint64_t> keys{random_below(1u << 30), 5};
  std::vector<Item> out(count + 3);
  const auto last = static_cast<Item>(3 * set_size + 8);
  const ItemSets<Item> sets{set, starts, lengths};
  CHECK(!draw_negatives<Item>(keys, ends, sets, Longs{0, 1}, last, out));
  for (std::size_t i = 0; i < out.size(); ++i) {
    CHECK(out[i] >= 1 && out[i] <= last);
    if (i < count) CHECK(std::find(set.begin(), set.end(), out[i]) == set.end());
  }
}

void histories(std::size_t rows) {
  std::vector<std::int32_t> values(rows);
  for (std::size_t i = 0; i < rows; ++i) values[i] = static_cast<std::int32_t>(i);
  const Longs bounds{0, static_cast<std::int64_t>(rows)};
  for (const HistoryBlock& block : history_blocks(bounds, 1, 5, 1000, 7)) {
    Longs begins, lengths;
    for (std::int64_t row = block.first; row < block.end; ++row) {
      lengths.push_back(std::min<std::int64_t>(5, row));
      begins.push_back(row - lengths.back());
      CHECK(begins.back() >= block.begin);
    }
    std::size_t total = 0;
    for (const std::int64_t length : lengths) total += static_cast<std::size_t>(length);
    std::vector<std::int32_t> out(total);
    window_values(reinterpret_cast<const std::byte*>(values.data()), 4, begins, lengths,
                  reinterpret_cast<std::byte*>(out.data()));
    CHECK(out.back() == block.end - 2);
  }
}

void padding(std::size_t length) {
  std::vector<std::int16_t> values(length, 9);
  const Longs starts{0, static_cast<std::int64_t>(length)};
  const Longs lengths{static_cast<std::int64_t>(length), 0};
  const std::int16_t token = -1;
  std::vector<std::int16_t> out(2 * 17);
  std::vector<std::int32_t> mask(2 * 17);
  pad_lists(reinterpret_cast<const std::byte*>(values.data()), 2, starts, lengths, 17,
            reinterpret_cast<const std::byte*>(&token), reinterpret_cast<std::byte*>(out.data()));
  mask_lists(lengths, 17, mask);
  for (std::size_t i = 0; i < out.size(); ++i) CHECK((out[i] == 9) == (mask[i] == 1));
}

void samples(std::size_t length) {
  const std::vector<std::uint64_t> keys{1, 2};
  const Longs lengths(2, static_cast<std::int64_t>(length));
  const auto items = static_cast<std::int64_t>(std::min<std::size_t>(length, 9));
  Longs out(static_cast<std::size_t>(2 * 3 * items));
  sample_positions(keys, lengths, 3, items, out);
  for (auto at = out.begin(); at != out.end(); at += items) {
    CHECK(std::set<std::int64_t>(at, at + items).size() == static_cast<std::size_t>(items));
    CHECK(*std::max_element(at, at + items) < static_cast<std::int64_t>(length));
  }
}

void keys(std::size_t rows) {
  std::vector<std::uint8_t> bits(rows / 8 + 1, 0xA5);
  Column column;
  column.type = ColumnType::boolean;
  column.values = bits.data();
  column.validity = bits.data();
  column.length = rows;
  std::vector<std::uint64_t> out(rows, 7);
  mix_column(column, out);
  const Longs starts(rows, 0);
  const Longs lengths(rows, static_cast<std::int64_t>(rows));
  std::vector<std::uint64_t> of_lists(rows, 7);
  mix_lists(out, starts, lengths, of_lists);
  CHECK(std::set<std::uint64_t>(out.begin(), out.end()).size() <= 2);
  CHECK(std::set<std::uint64_t>(of_lists.begin(), of_lists.end()).size() == 1);
}

}  // namespace

void test_sequence() {
  known_draws();
  for (const std::size_t size : {1u, 2u, 7u, 8u, 17u, 33u, 128u, 129u, 300u}) {
    negatives<std::int32_t>(size, size);
    negatives<std::int64_t>(size, 65);
    histories(size + 1);
    padding(size);
    samples(size);
    keys(size);
  }
}
