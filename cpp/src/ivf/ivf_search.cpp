#include "ivf/ivf_search.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "common/bytes.hpp"
#include "common/error.hpp"
#include "ivf/scan.hpp"
#include "ivf/top_k.hpp"

namespace friesian {

namespace {

constexpr std::size_t kBlock = 256;
// How much of the next list is fetched while the present one is scanned.
constexpr std::size_t kNextListBytes = 8192;

// One query after another over one layout; its buffers are kept between them.
class Searcher {
 public:
  Searcher(const IvfLayout& layout, std::size_t k, std::size_t nprobe, SimdLevel level)
      : layout_(layout),
        kernels_(scan_kernels(layout.metric(), level)),
        nprobe_(nprobe),
        query_(layout.dim()),
        probes_(nprobe),
        coarse_(nprobe),
        best_(k) {}

  void allow(const std::uint64_t* positions) { allowed_ = positions; }

  TopK& search(const float* query) {
    prepare(query);
    pick_lists();
    best_.clear();
    for (std::size_t i = 0; i < probes_.size(); ++i) {
      const std::size_t next = i + 1 < probes_.size() ? probes_[i + 1] : probes_[i];
      const std::size_t begin = layout_.list_begin(next);
      const std::size_t rows = layout_.list_begin(next + 1) - begin;
      prefetch(layout_.vector(begin),
               std::min(kNextListBytes, rows * layout_.dim() * sizeof(float)));
      scan(layout_.vector(0), layout_.list_begin(probes_[i]), layout_.list_begin(probes_[i] + 1),
           allowed_, best_);
    }
    return best_;
  }

 private:
  void prepare(const float* query) {
    std::copy_n(query, query_.size(), query_.begin());
    if (layout_.metric() != Metric::cosine) return;
    double sum = 0;
    for (const float value : query_) sum += double{value} * double{value};
    const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
    for (float& value : query_) value = static_cast<float>(value * scale);
  }

  void pick_lists() {
    if (nprobe_ == layout_.nlist()) {
      std::iota(probes_.begin(), probes_.end(), 0u);
      return;
    }
    coarse_.clear();
    scan(layout_.centroids(), 0, layout_.nlist(), nullptr, coarse_);
    probes_.resize(coarse_.finish());
    for (std::size_t i = 0; i < probes_.size(); ++i) probes_[i] = coarse_.position_at(i);
  }

  // Offers rows [begin, end) of a matrix, by blocks that stay in the first-level cache.
  void scan(const float* rows, std::size_t begin, std::size_t end, const std::uint64_t* allowed,
            TopK& best) {
    for (std::size_t first = begin; first < end; first += kBlock) {
      const std::size_t n = std::min(kBlock, end - first);
      kernels_.scan(query_.data(), rows + first * layout_.dim(), n, layout_.dim(), scores_.data());
      const std::size_t hits = kernels_.select(scores_.data(), n, best.least(), hits_.data());
      for (std::size_t i = 0; i < hits; ++i) {
        const std::size_t at = first + hits_[i];
        if (allowed == nullptr || (allowed[at / 64] >> (at % 64) & 1) != 0)
          best.add(scores_[hits_[i]], static_cast<std::uint32_t>(at));
      }
    }
  }

  const IvfLayout& layout_;
  ScanKernels kernels_;
  std::size_t nprobe_;
  const std::uint64_t* allowed_ = nullptr;
  std::vector<float> query_;
  std::vector<std::uint32_t> probes_;
  TopK coarse_;
  TopK best_;
  std::array<float, kBlock> scores_;
  std::array<std::uint32_t, kBlock> hits_;
};

void check(const IvfLayout& layout, const float* queries, std::size_t n, std::size_t k,
           std::size_t nprobe) {
  if (k < 1) throw InvalidInput("k must be at least 1");
  if (nprobe < 1 || nprobe > layout.nlist())
    throw InvalidInput("nprobe must be in [1, " + std::to_string(layout.nlist()) + "], got " +
                       std::to_string(nprobe));
  for (std::size_t i = 0; i < n * layout.dim(); ++i)
    if (!std::isfinite(queries[i]))
      throw InvalidInput("query " + std::to_string(i / layout.dim()) +
                         " holds NaN or infinity at dimension " + std::to_string(i % layout.dim()));
}

}  // namespace

void ivf_search(const IvfLayout& layout, const float* queries, std::size_t n,
                const IvfSearchOptions& options, std::uint32_t* positions, float* scores) {
  const std::size_t k = options.k;
  check(layout, queries, n, k, options.nprobe);
  Searcher searcher(layout, std::min(k, std::max<std::size_t>(layout.size(), 1)), options.nprobe,
                    options.level);
  for (std::size_t i = 0; i < n; ++i) {
    if (options.allowed != nullptr) searcher.allow(options.allowed + i * options.allowed_stride);
    TopK& best = searcher.search(queries + i * layout.dim());
    const std::size_t found = best.finish();
    for (std::size_t j = 0; j < found; ++j) {
      positions[i * k + j] = best.position_at(j);
      scores[i * k + j] = best.score_at(j);
    }
    std::fill_n(positions + i * k + found, k - found, kNoPosition);
    std::fill_n(scores + i * k + found, k - found, -std::numeric_limits<float>::infinity());
  }
}

}  // namespace friesian
