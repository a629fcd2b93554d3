#include "ivf/ivf_search.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "common/bitmap.hpp"
#include "common/error.hpp"
#include "ivf/coarse_dot.hpp"
#include "ivf/exact_ranking.hpp"
#include "ivf/exact_scan.hpp"
#include "ivf/fast_scan.hpp"
#include "ivf/half_rows.hpp"
#include "ivf/query_tables.hpp"
#include "ivf/select.hpp"
#include "ivf/top_k.hpp"

namespace friesian {

namespace {

constexpr std::size_t kBlocksPerTurn = 4;
// Turns between fetching codes and scanning them: about 8 KB of 128 dimensions.
constexpr std::size_t kTurnsAhead = 2;
constexpr std::size_t kExactTurn = 256;

// Consecutive blocks of one list.
struct Turn {
  std::uint32_t block;
  std::uint32_t blocks;
  std::uint32_t list;
};

// A probed list: its rows, its blocks, and where its scores begin.
struct Probe {
  std::uint32_t list;
  std::uint32_t slot = 0;
  std::int16_t bias = 0;
  std::uint32_t row = 0;
  std::uint32_t rows = 0;
  std::uint32_t block = 0;
};

// Room for n values, whatever they are: a buffer that shrank would be filled with zeros again.
template <typename T>
void grow(std::vector<T>& buffer, std::size_t n) {
  if (buffer.size() < n) buffer.resize(n);
}

// One query after another over one layout; its buffers are kept between them.
class Searcher {
 public:
  void open(const IvfLayout& layout, const IvfSearchOptions& options) {
    layout_ = &layout;
    options_ = &options;
    coarse_dot_ = coarse_dot_kernel(options.level);
    fast_scan_ = fast_scan_kernel(options.level);
    half_rows_ = half_rows_kernel(layout.metric(), options.level);
    select_ = select_kernels(options.level);
    best_.reset(std::min(options.k, std::max<std::size_t>(layout.size(), 1)));
  }

  // Writes the best k; what is missing is kNoPosition and -infinity.
  void search(const float* query, const std::uint64_t* allowed, std::uint32_t* positions,
              float* scores) {
    tables_.prepare(*layout_, query);
    best_.clear();
    std::size_t found = 0;
    if (options_->nprobe == layout_->nlist() && options_->rerank == 0) {
      exact_.open(*layout_, query, options_->k, options_->level);
      if (options_->exact == nullptr)
        compare_all(allowed);
      else
        compare_possible(allowed);
      found = exact_.write(positions, scores);
    } else {
      pick_lists();
      scan_codes();
      if (allowed != nullptr) drop_others(allowed);
      compare_candidates();
      found = write_best(positions, scores);
    }
    std::fill(positions + found, positions + options_->k, kNoPosition);
    std::fill(scores + found, scores + options_->k, -std::numeric_limits<float>::infinity());
  }

 private:
  // Every row, without codes.
  void compare_all(const std::uint64_t* allowed) {
    positions_.clear();
    for (std::size_t first = 0; first < layout_->size(); first += 64) {
      const std::size_t left = layout_->size() - first;
      std::uint64_t word = allowed == nullptr ? ~std::uint64_t{0} : allowed[first / 64];
      if (left < 64) word &= (std::uint64_t{1} << left) - 1;
      for (; word != 0; word &= word - 1)
        positions_.push_back(static_cast<std::uint32_t>(first) +
                             static_cast<std::uint32_t>(std::countr_zero(word)));
      if (positions_.size() < kExactTurn && left > 64) continue;
      exact_.offer(score_rows(), positions_);
      positions_.clear();
    }
  }

  // The lists whose centroids score best, in the order of the layout.
  void pick_lists() {
    const std::size_t nlist = layout_->nlist(), nprobe = options_->nprobe;
    const std::size_t blocks = (nlist + kCentroidBlock - 1) / kCentroidBlock;
    dots_.resize(blocks * kCentroidBlock);
    coarse_dot_(tables_.codes(), layout_->part<std::int8_t>(IvfPart::centroids), blocks,
                centroid_groups(layout_->dim()), dots_.data());
    const std::span<std::int32_t> dots(dots_.data(), nlist);
    tables_.order_lists(*layout_, dots);
    close_lists(dots);
    probes_.clear();
    if (nprobe == nlist) {
      for (std::size_t i = 0; i < nlist; ++i)
        probes_.push_back({.list = static_cast<std::uint32_t>(i)});
    } else {
      keep_best_lists(dots, nprobe);
    }
    if (options_->allowed_lists != nullptr)
      std::erase_if(probes_, [this](const Probe& probe) {
        return !bitmap_has(options_->allowed_lists, probe.list);
      });
    std::int64_t best = std::numeric_limits<std::int32_t>::min();
    for (const Probe& probe : probes_) best = std::max<std::int64_t>(best, dots[probe.list]);
    std::uint32_t slot = 0;
    for (Probe& probe : probes_) {
      const std::size_t begin = layout_->list_begin(probe.list);
      probe.bias = tables_.bias(best - dots[probe.list]);
      probe.slot = slot;
      probe.row = static_cast<std::uint32_t>(begin);
      probe.rows = static_cast<std::uint32_t>(layout_->list_begin(probe.list + 1) - begin);
      probe.block = static_cast<std::uint32_t>(layout_->block_begin(probe.list));
      slot += static_cast<std::uint32_t>(code_blocks(probe.rows) * kCodeBlock);
    }
    slots_ = slot;
  }

  // The rows that can be among the best by what their codes say.
  void compare_possible(const std::uint64_t* allowed) {
    options_->exact->candidates(tables_.row_values(), options_->k, allowed, options_->level,
                                exact_scratch_, positions_);
    exact_.offer(score_rows(), positions_);
  }

  std::size_t write_best(std::uint32_t* positions, float* scores) {
    const std::size_t found = best_.finish();
    for (std::size_t i = 0; i < found; ++i) {
      positions[i] = best_.position_at(i);
      scores[i] = best_.score_at(i);
    }
    return found;
  }

  // Lists without an allowed row come last, so that they take no other's place.
  void close_lists(std::span<std::int32_t> dots) const {
    if (options_->allowed_lists == nullptr) return;
    for (std::size_t list = 0; list < dots.size(); ++list)
      if (!bitmap_has(options_->allowed_lists, list))
        dots[list] = std::numeric_limits<std::int32_t>::min();
  }

  // Exactly nprobe of them; equal ones by their number.
  void keep_best_lists(std::span<const std::int32_t> dots, std::size_t nprobe) {
    // The upper bits pick out few, and only those are put in order.
    unsigned shift = 0;
    const auto most = static_cast<std::uint64_t>(layout_->dim()) * 127 * 127;
    while (most >> shift > 32767) ++shift;
    grow(scores_, dots.size());
    for (std::size_t i = 0; i < dots.size(); ++i)
      scores_[i] = static_cast<std::int16_t>(std::clamp(dots[i] >> shift, -32767, 32767));
    const auto hits = best_scores(dots.size(), nprobe);
    keys_.clear();
    for (const std::uint32_t list : hits)
      keys_.push_back((static_cast<std::uint64_t>(std::int64_t{dots[list]} + (1LL << 31)) << 32) |
                      static_cast<std::uint32_t>(~list));
    const auto last = keys_.begin() + static_cast<std::ptrdiff_t>(nprobe) - 1;
    std::nth_element(keys_.begin(), last, keys_.end(), std::greater<>());
    const std::uint64_t bound = *last;
    for (const std::uint32_t list : hits)
      if (((static_cast<std::uint64_t>(std::int64_t{dots[list]} + (1LL << 31)) << 32) |
           static_cast<std::uint32_t>(~list)) >= bound)
        probes_.push_back({.list = list});
  }

  // Scores of the codes of all probed lists, list after list.
  void scan_codes() {
    turns_.clear();
    for (std::size_t i = 0; i < probes_.size(); ++i) {
      const std::size_t end = probes_[i].block + code_blocks(probes_[i].rows);
      for (std::size_t at = probes_[i].block; at < end; at += kBlocksPerTurn)
        turns_.push_back({static_cast<std::uint32_t>(at),
                          static_cast<std::uint32_t>(std::min(kBlocksPerTurn, end - at)),
                          static_cast<std::uint32_t>(i)});
    }
    grow(scores_, slots_);
    const auto* codes = layout_->part<std::uint8_t>(IvfPart::codes);
    const auto* norms =
        layout_->metric() == Metric::l2 ? layout_->part<std::int16_t>(IvfPart::row_norms) : nullptr;
    const std::size_t bytes = block_bytes(layout_->dim());
    FastScanList list{tables_.tables(), code_quads(layout_->dim()), 0, tables_.norm_scale()};
    std::int16_t* out = scores_.data();
    for (std::size_t i = 0; i < turns_.size(); ++i) {
      const Turn& turn = turns_[i];
      const Turn& ahead = turns_[std::min(i + kTurnsAhead, turns_.size() - 1)];
      list.bias = probes_[turn.list].bias;
      fast_scan_(list, codes + turn.block * bytes,
                 norms == nullptr ? nullptr : norms + turn.block * kCodeBlock, turn.blocks,
                 codes + ahead.block * bytes, out);
      out += turn.blocks * kCodeBlock;
    }
    for (const Probe& probe : probes_)  // places behind a list's last row
      std::fill(scores_.data() + probe.slot + probe.rows,
                scores_.data() + probe.slot + code_blocks(probe.rows) * kCodeBlock, kNoScore);
  }

  // Rows that may not be answered lose their scores, before the best are picked.
  void drop_others(const std::uint64_t* allowed) {
    for (const Probe& probe : probes_) {
      std::size_t at = layout_->list_begin(probe.list);
      const std::size_t end = layout_->list_begin(probe.list + 1);
      for (std::size_t slot = probe.slot; at < end; ++at, ++slot)
        if (!bitmap_has(allowed, at)) scores_[slot] = kNoScore;
    }
  }

  // The best codes' rows are compared; of equal codes at the bound the first ones.
  void compare_candidates() {
    std::span<std::uint32_t> hits = best_scores(slots_, candidates());
    hits = without_late_ties(hits, candidates());
    positions_.clear();
    std::size_t probe = 0;
    for (const std::uint32_t slot : hits) {
      while (probe + 1 < probes_.size() && probes_[probe + 1].slot <= slot) ++probe;
      positions_.push_back(probes_[probe].row + (slot - probes_[probe].slot));
    }
    compare_rows();
  }

  // Where the first `n` of scores_ are among the best `wanted`, or equal to the last of these.
  std::span<std::uint32_t> best_scores(std::size_t n, std::size_t wanted) {
    grow(hits_, n + kSelectSlack);
    const std::int16_t least = nth_largest(select_, scores_.data(), n, wanted);
    return {hits_.data(), select_.select(scores_.data(), n, least, hits_.data())};
  }

  // `wanted` hits: of those that are equal to the last, the first ones.
  std::span<std::uint32_t> without_late_ties(std::span<std::uint32_t> hits, std::size_t wanted) {
    if (hits.size() <= wanted) return hits;
    std::int16_t least = 32767;
    for (const std::uint32_t slot : hits) least = std::min(least, scores_[slot]);
    std::size_t ties = hits.size() - wanted, kept = hits.size();
    for (std::size_t i = hits.size(); i-- > 0;)
      if (ties > 0 && scores_[hits[i]] == least)
        --ties;
      else
        hits[--kept] = hits[i];
    return hits.subspan(kept);
  }

  [[nodiscard]] std::size_t candidates() const {
    if (options_->rerank != 0) return std::max(options_->rerank, options_->k);
    const IvfDepth& depth = layout_->depth();
    const std::size_t scaled = (std::size_t{depth.rerank} * options_->k + depth.k - 1) / depth.k;
    return std::max({std::size_t{depth.rerank}, scaled, options_->k});
  }

  // Of the rows at positions_.
  std::span<float> score_rows() {
    grow(row_scores_, positions_.size());
    const std::span<float> scores(row_scores_.data(), positions_.size());
    half_rows_(tables_.row_values(), layout_->part<std::uint16_t>(IvfPart::rows), layout_->dim(),
               positions_.data(), scores.size(), scores.data());
    const float factor = tables_.row_factor();
    for (float& score : scores) score *= factor;
    return scores;
  }

  void compare_rows() {
    const std::span<float> scores = score_rows();
    if (scores.size() <= best_.size_wanted()) {
      for (std::size_t i = 0; i < scores.size(); ++i) best_.add(scores[i], positions_[i]);
      return;
    }
    // Most cannot be among the best: 16 bits of a score are enough to leave them out.
    const auto [low, high] = std::ranges::minmax(scores);
    const float unit = 65000 / (high - low);
    if (!std::isfinite(unit)) {
      for (std::size_t i = 0; i < scores.size(); ++i) best_.add(scores[i], positions_[i]);
      return;
    }
    grow(scores_, scores.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const float step = (scores[i] - low) * unit - 32500;
      scores_[i] = static_cast<std::int16_t>(step > -32500 ? std::min(step, 32500.0f) : -32500.0f);
    }
    for (const std::uint32_t i : best_scores(scores.size(), best_.size_wanted()))
      best_.add(scores[i], positions_[i]);
  }

  const IvfLayout* layout_ = nullptr;
  const IvfSearchOptions* options_ = nullptr;
  kernels::CoarseDot* coarse_dot_ = nullptr;
  kernels::FastScan* fast_scan_ = nullptr;
  kernels::HalfRows* half_rows_ = nullptr;
  SelectKernels select_{};
  QueryTables tables_;
  TopK best_;
  ExactRanking exact_;
  ExactScratch exact_scratch_;
  std::size_t slots_ = 0;
  std::vector<std::int32_t> dots_;
  std::vector<Probe> probes_;
  std::vector<Turn> turns_;
  std::vector<std::int16_t> scores_;
  std::vector<std::uint32_t> hits_, positions_;
  std::vector<std::uint64_t> keys_;
  std::vector<float> row_scores_;
};

void check(const IvfLayout& layout, const float* queries, std::size_t n,
           const IvfSearchOptions& options) {
  if (options.k < 1) throw InvalidInput("k must be at least 1");
  if (options.nprobe < 1 || options.nprobe > layout.nlist())
    throw InvalidInput("nprobe must be in [1, " + std::to_string(layout.nlist()) + "], got " +
                       std::to_string(options.nprobe));
  for (std::size_t i = 0; i < n * layout.dim(); ++i)
    if (!std::isfinite(queries[i]))
      throw InvalidInput("query " + std::to_string(i / layout.dim()) +
                         " holds NaN or infinity at dimension " + std::to_string(i % layout.dim()));
}

// The calling thread's, whose buffers stay for its next search.
[[gnu::noinline]] Searcher& own_searcher() {
  thread_local Searcher searcher;
  return searcher;
}

// Queries [begin, end).
void search_some(const IvfLayout& layout, const float* queries, std::size_t begin, std::size_t end,
                 const IvfSearchOptions& options, std::uint32_t* positions, float* scores) {
  Searcher& searcher = own_searcher();
  searcher.open(layout, options);
  const std::size_t k = options.k;
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint64_t* allowed =
        options.allowed == nullptr ? nullptr : options.allowed + i * options.allowed_stride;
    searcher.search(queries + i * layout.dim(), allowed, positions + i * k, scores + i * k);
  }
}

}  // namespace

void ivf_search(const IvfLayout& layout, const float* queries, std::size_t n,
                const IvfSearchOptions& options, std::uint32_t* positions, float* scores) {
  check(layout, queries, n, options);
  const std::size_t threads =
      std::clamp<std::size_t>(options.threads, 1, std::max<std::size_t>(n, 1));
  if (threads == 1) {
    search_some(layout, queries, 0, n, options, positions, scores);
    return;
  }
  std::vector<std::exception_ptr> failures(threads);
  {
    std::vector<std::jthread> workers;
    for (std::size_t t = 0; t < threads; ++t)
      workers.emplace_back([&, t] {
        try {
          search_some(layout, queries, n * t / threads, n * (t + 1) / threads, options, positions,
                      scores);
        } catch (...) {
          failures[t] = std::current_exception();
        }
      });
  }
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace friesian
