#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "check.hpp"
#include "common/bitmap.hpp"
#include "common/bytes_hash.hpp"
#include "common/error.hpp"
#include "ivf/exact_scan.hpp"
#include "ivf/filter_bitmap.hpp"
#include "ivf/id_positions.hpp"
#include "ivf/ivf_layout.hpp"
#include "ivf/ivf_search.hpp"
#include "levels_and_numbers.hpp"

using namespace friesian;

namespace {

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
  const std::size_t pairs = (dim + 1) / 2;
  const std::vector<float> codebook = random_floats(pairs * 32);
  const auto codes = random_integers<std::uint8_t>(50 * pairs, 0, 15);
  // String ids go with L2, so that both kinds of sections are read.
  write_ivf_layout(path, {string_ids ? Metric::l2 : Metric::cosine,
                          dim,
                          {2, 10, 5},
                          centroids,
                          offsets,
                          codebook,
                          codes,
                          vectors,
                          ids,
                          views,
                          string_ids});
}

// Opens the file and searches all of it and then every other row, whatever it holds.
void search_file(const std::string& path, bool must_open) {
  try {
    const IvfLayout layout(path, false);
    const std::size_t k = 60;
    const std::vector<float> queries = random_floats(2 * layout.dim());
    std::vector<std::uint32_t> positions(2 * k);
    std::vector<float> scores(2 * k);
    std::optional<ExactScan> exact;
    if (layout.metric() != Metric::l2) exact.emplace(layout);
    const IdPositions places(layout);
    const std::vector<std::uint64_t> rows(bitmap_words(layout.size()), 0xAAAAAAAAAAAAAAAA);
    std::vector<std::uint64_t> lists(bitmap_words(layout.nlist()));
    bitmap_lists(layout, rows, lists.data());
    for (const SimdLevel level : runnable_levels())
      for (const std::size_t nprobe :
           {std::size_t{1}, std::size_t{layout.depth().nprobe}, layout.nlist()}) {
        IvfSearchOptions options{.k = k,
                                 .nprobe = nprobe,
                                 .exact = exact && nprobe % 2 == 0 ? &*exact : nullptr,
                                 .level = level};
        ivf_search(layout, queries.data(), 2, options, positions.data(), scores.data());
        options.margin = 0.5f;
        ivf_search(layout, queries.data(), 2, options, positions.data(), scores.data());
        options.margin = 0;
        std::vector<std::uint32_t> some(positions.size());
        options.allowed = rows.data();
        options.allowed_lists = lists.data();
        std::uint32_t ranks[2] = {};
        options.ranks = ranks;
        options.rank_of = 3;
        ivf_search(layout, queries.data(), 2, options, some.data(), scores.data());
        for (const std::uint32_t rank : ranks)
          CHECK(rank == 0 || rank == kNoPosition || (rank >= 3 && rank <= layout.size()));
        for (const std::uint32_t position : some)
          CHECK(position == kNoPosition || (position < layout.size() && position % 2 == 1));
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
  store_depth(file.path(), {6, 7, 8});
  CHECK(IvfLayout(file.path(), true, Residence::huge_pages).depth().rerank == 7);
  store_depth(file.path(), {2, 7, 8, 3, 1.5f});
  CHECK(IvfLayout(file.path(), true).depth().margin == 1.5f);
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

// A header that is sealed, and claims sizes whose sums pass what the file holds or 64 bits.
void refuse_sizes_that_do_not_fit() {
  const TemporaryFile file;
  write_layout(file.path(), 5, true);
  const Bytes bytes = file.read();
  const auto refused = [&](auto change, std::string_view reason) {
    IvfHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    change(header);
    header.header_checksum = hash_bytes(&header, offsetof(IvfHeader, header_checksum));
    Bytes sealed(bytes);
    std::memcpy(sealed.data(), &header, sizeof header);
    file.write(sealed);
    std::string refusal;
    try {
      const IvfLayout layout(file.path(), false);
    } catch (const InvalidInput& error) {
      refusal = error.what();
    }
    CHECK(refusal.ends_with(reason));
  };
  const std::string_view numbers = "the numbers in its header are out of range";
  const std::string_view sections = "the sections in its header do not fit the file";
  refused([](IvfHeader& h) { h.dim = 0; }, numbers);
  refused([](IvfHeader& h) { h.dim = 1u << 31; }, numbers);
  refused([](IvfHeader& h) { h.depth.nprobe = h.nlist + 1; }, numbers);
  refused([](IvfHeader& h) { h.depth.rerank = 0; }, numbers);
  refused([](IvfHeader& h) { h.depth.k = 0; }, numbers);
  for (const float margin : {-1.0f, -0.0f, 0.0f, std::nanf(""), INFINITY})
    refused(
        [margin](IvfHeader& h) {
          h.depth.most_lists = 1;
          h.depth.margin = margin;
        },
        numbers);
  refused([](IvfHeader& h) { h.depth.margin = 1; }, numbers);
  refused(
      [](IvfHeader& h) {
        h.depth.most_lists = h.nlist + 1;
        h.depth.margin = 1;
      },
      numbers);
  refused([](IvfHeader& h) { h.vectors = std::uint64_t{1} << 32; }, numbers);
  refused([](IvfHeader& h) { h.metric = static_cast<Metric>(3); }, numbers);
  for (float IvfHeader::* scale :
       {&IvfHeader::centroid_scale, &IvfHeader::norm_scale, &IvfHeader::row_scale})
    for (const float value : {0.0f, -1.0f, std::nanf(""), INFINITY})
      refused([&](IvfHeader& h) { h.*scale = value; }, numbers);
  refused([](IvfHeader& h) { h.nlist = 0xFFFFFFFF; }, sections);
  refused([](IvfHeader& h) { h.vectors = 0xFFFFFFFF; }, sections);
  refused([](IvfHeader& h) { h.dim = kMaxIvfDim; }, sections);
  refused([](IvfHeader& h) { h.metric = Metric::ip; }, sections);
  for (std::size_t i = 0; i < kIvfSections; ++i) {
    refused([&](IvfHeader& h) { h.sections[i].offset += 1; }, sections);
    refused([&](IvfHeader& h) { h.sections[i].offset = ~std::uint64_t{63}; }, sections);
    refused([&](IvfHeader& h) { h.sections[i].offset = 0; }, sections);
    refused([&](IvfHeader& h) { h.sections[i].bytes = ~std::uint64_t{0}; }, sections);
    refused([&](IvfHeader& h) { h.sections[i].bytes = 4; }, sections);
  }
}

// Allowed rows only, at every depth; nothing when nothing is allowed.
void answer_allowed_rows_only() {
  const TemporaryFile file;
  write_layout(file.path(), 9, false);
  const IvfLayout layout(file.path(), true);
  const std::vector<float> queries = random_floats(2 * 9);
  const std::uint64_t allowed[2] = {0x0000F0F0A5A50003, 0};
  for (const SimdLevel level : runnable_levels())
    for (const std::size_t nprobe : {1, 4, 6})
      for (const std::size_t rerank : {0, 60}) {
        std::uint32_t positions[2 * 60];
        float scores[2 * 60];
        const IvfSearchOptions options{.k = 60,
                                       .nprobe = nprobe,
                                       .rerank = rerank,
                                       .allowed = allowed,
                                       .allowed_stride = 1,
                                       .level = level};
        ivf_search(layout, queries.data(), 2, options, positions, scores);
        const auto found = static_cast<std::size_t>(
            std::ranges::count_if(positions, [](auto p) { return p != kNoPosition; }));
        CHECK(nprobe < 6 || found == static_cast<std::size_t>(std::popcount(allowed[0])));
        for (std::size_t i = 0; i < found; ++i) CHECK((allowed[0] >> positions[i] & 1) == 1);
        CHECK(positions[60] == kNoPosition);
      }
}

}  // namespace

void test_ivf() {
  refuse_sizes_that_do_not_fit();
  answer_allowed_rows_only();
  for (const std::size_t dim : {1u, 5u, 16u, 33u}) {
    search_damaged_layouts(dim, false);
    search_damaged_layouts(dim, true);
  }
}
