#include <algorithm>
#include <cmath>
#include <cstring>

#include "check.hpp"
#include "common/bytes_hash.hpp"
#include "common/error.hpp"
#include "ivf/ivf_layout.hpp"
#include "ivf/ivf_search.hpp"
#include "ivf/scan.hpp"
#include "simd/simd_level.hpp"

using namespace friesian;

namespace {

std::vector<SimdLevel> runnable_levels() {
  std::vector<SimdLevel> levels;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(detect_simd_level()); ++i)
    levels.push_back(static_cast<SimdLevel>(i));
  return levels;
}

std::vector<float> random_floats(std::size_t n) {
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random_source());
  return values;
}

// Every allocation is of exactly the size, so a read past a tail is seen.
void scan_every_tail() {
  for (const SimdLevel level : runnable_levels())
    for (std::size_t dim = 1; dim <= 40; ++dim)
      for (std::size_t n = 0; n <= 9; ++n) {
        const std::vector<float> query = random_floats(dim), rows = random_floats(n * dim);
        for (const Metric metric : {Metric::ip, Metric::l2}) {
          std::vector<float> scores(n);
          scan_kernels(metric, level).scan(query.data(), rows.data(), n, dim, scores.data());
          for (std::size_t i = 0; i < n; ++i) {
            double want = 0;
            for (std::size_t j = 0; j < dim; ++j) {
              const double a = double{query[j]}, b = double{rows[i * dim + j]};
              want += metric == Metric::l2 ? -(a - b) * (a - b) : a * b;
            }
            CHECK(std::fabs(want - double{scores[i]}) < 1e-4 * (1 + std::fabs(want)));
          }
        }
      }
}

void select_every_tail() {
  for (const SimdLevel level : runnable_levels())
    for (std::size_t n = 0; n <= 70; ++n) {
      std::vector<float> scores = random_floats(n);
      if (n > 2) scores[n / 2] = std::nanf("");
      std::vector<std::uint32_t> want, got(n);
      for (std::uint32_t i = 0; i < n; ++i)
        if (scores[i] >= 0.5f) want.push_back(i);
      got.resize(scan_kernels(Metric::ip, level).select(scores.data(), n, 0.5f, got.data()));
      CHECK(got == want);
    }
}

// Six lists, one of them empty, of 50 vectors.
void write_layout(const std::string& path, std::size_t dim, bool string_ids) {
  const std::vector<float> vectors = random_floats(50 * dim), centroids = random_floats(6 * dim);
  const std::vector<std::uint64_t> offsets{0, 7, 7, 20, 33, 49, 50};
  std::vector<std::int64_t> ids(50);
  std::vector<std::string> texts(50);
  for (std::size_t i = 0; i < 50; ++i) {
    ids[i] = static_cast<std::int64_t>(i) * 11;
    texts[i] = std::string(i % 13, 'x') + std::to_string(i);
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  write_ivf_layout(path,
                   {Metric::cosine, dim, 2, centroids, offsets, ids, views, string_ids, vectors});
}

// Opens the file and searches it, whatever it holds.
void search_file(const std::string& path, bool must_open) {
  try {
    const IvfLayout layout(path, false);
    const std::size_t k = 60;
    const std::vector<float> queries = random_floats(2 * layout.dim());
    std::vector<std::uint32_t> positions(2 * k);
    std::vector<float> scores(2 * k);
    for (const SimdLevel level : runnable_levels())
      for (const std::size_t nprobe : {std::size_t{1}, layout.nprobe(), layout.nlist()}) {
        const IvfSearchOptions options{.k = k, .nprobe = nprobe, .level = level};
        ivf_search(layout, queries.data(), 2, options, positions.data(), scores.data());
        for (const std::uint32_t position : positions) {
          CHECK(position == kNoPosition || position < layout.size());
          if (position == kNoPosition) continue;
          if (layout.string_ids())
            CHECK(std::ranges::count(layout.string_id(position), 1) < 10000);  // reads all of it
          else
            CHECK(!must_open || layout.id(position) == std::int64_t{position} * 11);
        }
      }
  } catch (const InvalidInput&) {
    CHECK(!must_open);
  }
}

void search_damaged_layouts(std::size_t dim, bool string_ids) {
  const TemporaryFile file;
  write_layout(file.path(), dim, string_ids);
  search_file(file.path(), true);
  store_nprobe(file.path(), 6);
  CHECK(IvfLayout(file.path(), true).nprobe() == 6);
  const Bytes bytes = file.read();
  for (std::size_t size = 0; size < bytes.size(); size += 1 + random_below(16)) {
    file.write(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)));
    search_file(file.path(), false);
  }
  for (int turn = 0; turn < 400; ++turn) {
    Bytes damaged = flipped(bytes, 1 + turn % 16);
    std::copy_n(bytes.begin(), sizeof(IvfHeader), damaged.begin());  // else it is not opened
    file.write(damaged);
    search_file(file.path(), false);
  }
}

// 2^31 lists of 2^33 bytes each are 2^64, which is no byte of centroids: a file of holes, so large
// that nothing but the sizes is ever read.
void refuse_sizes_beyond_64_bits() {
  const TemporaryFile file;
  write_layout(file.path(), 1, false);
  const Bytes bytes = file.read();
  IvfHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.dim = header.nlist = 1u << 31;
  header.vectors = 0;
  header.list_offsets.bytes = (std::uint64_t{header.nlist} + 1) * 8;
  header.file_bytes = header.list_offsets.offset + header.list_offsets.bytes;
  header.centroids.bytes = header.ids.bytes = header.rows.bytes = 0;
  header.header_checksum = hash_bytes(&header, offsetof(IvfHeader, header_checksum));
  Bytes sealed(sizeof header);
  std::memcpy(sealed.data(), &header, sizeof header);
  file.write(sealed);
  std::filesystem::resize_file(file.path(), header.file_bytes);
  std::string refusal;
  try {
    const IvfLayout layout(file.path(), false);
  } catch (const InvalidInput& error) {
    refusal = error.what();
  }
  CHECK(refusal.ends_with("the sections in its header do not fit the file"));
}

}  // namespace

void test_ivf() {
  refuse_sizes_beyond_64_bits();
  scan_every_tail();
  select_every_tail();
  for (const std::size_t dim : {1u, 5u, 16u, 33u}) {
    search_damaged_layouts(dim, false);
    search_damaged_layouts(dim, true);
  }
}
