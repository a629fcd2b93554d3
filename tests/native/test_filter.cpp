#include <algorithm>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "common/bitmap.hpp"
#include "ivf/exact_scan.hpp"
#include "ivf/filter_bitmap.hpp"
#include "ivf/filter_range.hpp"
#include "ivf/filter_set.hpp"
#include "ivf/id_positions.hpp"
#include "ivf/ivf_search.hpp"
#include "levels_and_numbers.hpp"
#include "rank/diversify.hpp"

using namespace friesian;

namespace {

// Every allocation is of exactly the size, so that a read or a write past a tail is seen.
template <typename T>
void filters_at_every_length() {
  const std::vector<T> wanted{T(-7), T(0), T(5)};
  for (const SimdLevel level : runnable_levels())
    for (std::size_t n = 0; n <= 200; ++n) {
      std::vector<T> values(n);
      for (T& value : values) value = static_cast<T>(static_cast<int>(random_below(21)) - 10);
      std::vector<std::uint64_t> range(bitmap_words(n)), set(bitmap_words(n));
      filter_range<T>(values, T(-3), T(5), level, range.data());
      filter_set<T>(values, wanted, level, set.data());
      std::size_t inside = 0;
      for (std::size_t i = 0; i < n; ++i) {
        CHECK(bitmap_has(range.data(), i) == (values[i] >= T(-3) && values[i] <= T(5)));
        CHECK(bitmap_has(set.data(), i) ==
              (std::find(wanted.begin(), wanted.end(), values[i]) != wanted.end()));
        inside += bitmap_has(range.data(), i);
      }
      CHECK(bitmap_count(range) == inside);  // nothing behind the last row
      filter_set<T>(values, {}, level, set.data());
      CHECK(bitmap_count(set) == 0);
    }
}

// A layout of two lists of random rows, some of them far larger than the others.
void write_rows(const std::string& path, Metric metric, std::size_t n, std::size_t dim) {
  std::normal_distribution<float> normal;
  std::vector<float> vectors(n * dim);
  for (std::size_t i = 0; i < n; ++i) {
    const float size = i % 9 == 0 ? 20.0f : 1.0f;
    for (std::size_t j = 0; j < dim; ++j) vectors[i * dim + j] = size * normal(random_source());
  }
  std::vector<std::int64_t> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<std::int64_t>(i * 7 + 3);
  const std::size_t pairs = (dim + 1) / 2;
  const std::vector<float> centroids(2 * dim, 0.5f), codebook(pairs * 32);
  const std::vector<std::uint8_t> codes(n * pairs);
  const std::vector<std::uint64_t> offsets{0, n / 3, n};
  write_ivf_layout(
      path,
      {metric, dim, {1, 10, 10}, centroids, offsets, codebook, codes, vectors, ids, {}, false});
}

void exact_scan_is_comparing_all() {
  const TemporaryFile file;
  for (const Metric metric : {Metric::ip, Metric::cosine})
    for (const std::size_t n : {1, 5, 16, 17, 300})
      for (const std::size_t dim : {1, 3, 8, 33, 2048}) {
        if (dim > 33 && n != 17) continue;
        write_rows(file.path(), metric, n, dim);
        const IvfLayout layout(file.path(), true);
        const ExactScan scan(layout);
        std::normal_distribution<float> normal;
        std::vector<float> queries(4 * dim);
        for (float& value : queries) value = normal(random_source());
        std::fill_n(queries.begin(), dim, 0.0f);
        std::vector<std::uint64_t> allowed(bitmap_words(n));
        for (std::size_t i = 0; i < n; i += 2) bitmap_set(allowed.data(), i);
        for (const SimdLevel level : runnable_levels())
          for (const std::size_t k : {std::size_t{1}, std::size_t{4}, n + 2})
            for (const std::uint64_t* some : {static_cast<const std::uint64_t*>(nullptr),
                                              static_cast<const std::uint64_t*>(allowed.data())}) {
              std::vector<std::uint32_t> want(4 * k), got(4 * k);
              std::vector<float> want_scores(4 * k), got_scores(4 * k);
              IvfSearchOptions options{.k = k, .nprobe = 2, .allowed = some, .level = level};
              ivf_search(layout, queries.data(), 4, options, want.data(), want_scores.data());
              options.exact = &scan;
              ivf_search(layout, queries.data(), 4, options, got.data(), got_scores.data());
              CHECK(got == want);
              CHECK(got_scores == want_scores);
            }
      }
}

void positions_of_ids() {
  const TemporaryFile file;
  write_rows(file.path(), Metric::ip, 500, 2);
  const IvfLayout layout(file.path(), true);
  const IdPositions table(layout);
  std::vector<std::int64_t> ids{3,  10,          4,
                                -1, 499 * 7 + 3, std::numeric_limits<std::int64_t>::min()};
  std::vector<std::uint32_t> found(ids.size());
  table.find(ids, found.data());
  CHECK((found == std::vector<std::uint32_t>{0, 1, kNoPosition, kNoPosition, 499, kNoPosition}));
}

void lists_with_an_allowed_row() {
  const TemporaryFile file;
  write_rows(file.path(), Metric::ip, 300, 2);  // lists of 100 and 200
  const IvfLayout layout(file.path(), true);
  for (const auto& [position, lists] :
       {std::pair{0u, 1u}, {63u, 1u}, {64u, 1u}, {99u, 1u}, {100u, 2u}, {128u, 2u}, {299u, 2u}}) {
    std::vector<std::uint64_t> words(bitmap_words(300)), open(1);
    bitmap_lists(layout, words, open.data());
    CHECK(open[0] == 0);
    bitmap_set(words.data(), position);
    bitmap_lists(layout, words, open.data());
    CHECK(open[0] == lists);
  }
}

void diversify_at_every_length() {
  for (std::size_t n = 0; n < 20; ++n)
    for (std::size_t dim = 1; dim < 10; ++dim) {
      std::vector<float> relevance(n), vectors(n * dim);
      for (float& value : relevance) value = static_cast<float>(random_below(100)) / 100;
      for (float& value : vectors) value = static_cast<float>(random_below(100)) / 50 - 1;
      std::vector<std::uint32_t> picks(std::min<std::size_t>(n, 7));
      diversify(relevance.data(), vectors.data(), n, dim, 7, 0.5f, picks.data());
      std::sort(picks.begin(), picks.end());
      CHECK(std::adjacent_find(picks.begin(), picks.end()) == picks.end());
      CHECK(picks.empty() || picks.back() < n);
    }
}

}  // namespace

void test_filter() {
  filters_at_every_length<std::int32_t>();
  filters_at_every_length<std::int64_t>();
  filters_at_every_length<float>();
  filters_at_every_length<double>();
  exact_scan_is_comparing_all();
  positions_of_ids();
  lists_with_an_allowed_row();
  diversify_at_every_length();
}
