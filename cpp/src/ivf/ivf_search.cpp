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
#include "ivf/exact_ranking.hpp"
#include "ivf/exact_scan.hpp"
#include "ivf/half_rows.hpp"
#include "ivf/list_pick.hpp"
#include "ivf/list_scan.hpp"
#include "ivf/query_check.hpp"
#include "ivf/query_tables.hpp"
#include "ivf/select.hpp"
#include "ivf/top_k.hpp"

namespace friesian {

namespace {

constexpr std::size_t kExactTurn = 256;
// Queries whose lists are scanned together, at most, and their scores, which stay in the caches.
constexpr std::size_t kMostTogether = 32;
constexpr std::size_t kMostSlots = std::size_t{1} << 20;

// Some queries after others over one layout; its buffers are kept between them.
class Searcher {
 public:
  void open(const IvfLayout& layout, const IvfSearchOptions& options) {
    layout_ = &layout;
    options_ = &options;
    picker_.open(layout, options);
    scan_.open(layout, options.level);
    half_rows_ = half_rows_kernel(layout.metric(), options.level);
    select_ = select_kernels(options.level);
    best_.reset(std::min(options.k, std::max<std::size_t>(layout.size(), 1)));
  }

  // Writes the best k of each of n queries; what is missing is kNoPosition and -infinity.
  void search(const float* queries, std::size_t n, const std::uint64_t* allowed,
              std::uint32_t* positions, float* scores) {
    const bool exact =
        options_->nprobe == layout_->nlist() && options_->margin == 0 && options_->rerank == 0;
    for (std::size_t first = 0; first < n;) {
      const Answers to{allowed, positions, scores, first};
      first += exact ? search_all(queries + first * layout_->dim(), to)
                     : search_lists(queries + first * layout_->dim(), n - first, to);
    }
  }

 private:
  // Where the answers of queries from `first` on go, and what may be answered.
  struct Answers {
    const std::uint64_t* allowed;
    std::uint32_t* positions;
    float* scores;
    std::size_t first;
  };

  [[nodiscard]] const std::uint64_t* allowed_of(const Answers& to, std::size_t i) const {
    return to.allowed == nullptr ? nullptr : to.allowed + (to.first + i) * options_->allowed_stride;
  }

  // The answers of some queries by the lists they probe; returns how many there are.
  std::size_t search_lists(const float* queries, std::size_t n, const Answers& to) {
    std::size_t together = 0, slots = 0;
    while (together < std::min(n, kMostTogether) && slots < kMostSlots) {
      if (probed_.size() == together) probed_.emplace_back();
      ProbedQuery& query = probed_[together];
      query.tables.prepare(*layout_, queries + together * layout_->dim());
      picker_.pick(query);
      slots += query.slots;
      ++together;
    }
    scan_.scan(std::span(probed_).first(together));
    for (std::size_t i = 0; i < together; ++i) {
      const std::uint64_t* allowed = allowed_of(to, i);
      best_.clear();
      const std::span<const std::uint32_t> hits = candidates_of(probed_[i], allowed);
      if (allowed != nullptr && options_->ranks != nullptr)
        options_->ranks[to.first + i] = rank_among_all(probed_[i], hits);
      compare_candidates(probed_[i], hits);
      std::uint32_t* const positions = to.positions + (to.first + i) * options_->k;
      float* const scores = to.scores + (to.first + i) * options_->k;
      fill_up(positions, scores, write_best(positions, scores));
    }
    return together;
  }

  // The answer of one query by all rows.
  std::size_t search_all(const float* query, const Answers& to) {
    tables_.prepare(*layout_, query);
    exact_.open(*layout_, query, options_->k, options_->level);
    if (options_->exact == nullptr)
      compare_all(allowed_of(to, 0));
    else
      compare_possible(allowed_of(to, 0));
    std::uint32_t* const positions = to.positions + to.first * options_->k;
    float* const scores = to.scores + to.first * options_->k;
    fill_up(positions, scores, exact_.write(positions, scores));
    return 1;
  }

  void fill_up(std::uint32_t* positions, float* scores, std::size_t found) const {
    std::fill(positions + found, positions + options_->k, kNoPosition);
    std::fill(scores + found, scores + options_->k, -std::numeric_limits<float>::infinity());
  }

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
      exact_.offer(score_rows(tables_), positions_);
      positions_.clear();
    }
  }

  // The rows that can be among the best by what their codes say.
  void compare_possible(const std::uint64_t* allowed) {
    options_->exact->candidates(tables_.row_values(), options_->k, allowed, options_->level,
                                exact_scratch_, positions_);
    exact_.offer(score_rows(tables_), positions_);
  }

  std::size_t write_best(std::uint32_t* positions, float* scores) {
    const std::size_t found = best_.finish();
    for (std::size_t i = 0; i < found; ++i) {
      positions[i] = best_.position_at(i);
      scores[i] = best_.score_at(i);
    }
    return found;
  }

  // The best codes that are allowed; of equal codes at the bound the first ones.
  std::span<const std::uint32_t> candidates_of(const ProbedQuery& query,
                                               const std::uint64_t* allowed) {
    const std::int16_t* scores = query.scores.data();
    if (allowed != nullptr) {
      grow(allowed_scores_, query.slots);
      close_rows(query, allowed, allowed_scores_.data());
      scores = allowed_scores_.data();
    }
    return without_late_ties(scores, best_scores(scores, query.slots, candidates()), candidates());
  }

  // How many rows, allowed or not, score as high as the rank_of-th best hit.
  [[nodiscard]] std::uint32_t rank_among_all(const ProbedQuery& query,
                                             std::span<const std::uint32_t> hits) {
    if (hits.size() < options_->rank_of) return kNoPosition;
    grow(scores_, hits.size());
    for (std::size_t i = 0; i < hits.size(); ++i) scores_[i] = query.scores[hits[i]];
    const std::int16_t least = nth_largest(select_, scores_.data(), hits.size(), options_->rank_of);
    return static_cast<std::uint32_t>(select_.count(query.scores.data(), query.slots, least));
  }

  void compare_candidates(const ProbedQuery& query, std::span<const std::uint32_t> hits) {
    const std::vector<Probe>& probes = query.probes;
    positions_.clear();
    std::size_t probe = 0;
    for (const std::uint32_t slot : hits) {
      while (probe + 1 < probes.size() && probes[probe + 1].slot <= slot) ++probe;
      positions_.push_back(probes[probe].row + (slot - probes[probe].slot));
    }
    compare_rows(query.tables);
  }

  // Where n scores are among the best `wanted`, or equal to the last of these.
  std::span<std::uint32_t> best_scores(const std::int16_t* scores, std::size_t n,
                                       std::size_t wanted) {
    grow(hits_, n + kSelectSlack);
    return {hits_.data(), select_best(select_, scores, n, wanted, scratch_, hits_.data())};
  }

  // `wanted` hits: of those that are equal to the last, the first ones.
  static std::span<std::uint32_t> without_late_ties(const std::int16_t* scores,
                                                    std::span<std::uint32_t> hits,
                                                    std::size_t wanted) {
    if (hits.size() <= wanted) return hits;
    std::int16_t least = 32767;
    for (const std::uint32_t slot : hits) least = std::min(least, scores[slot]);
    std::size_t ties = hits.size() - wanted, kept = hits.size();
    for (std::size_t i = hits.size(); i-- > 0;)
      if (ties > 0 && scores[hits[i]] == least)
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
  std::span<float> score_rows(const QueryTables& tables) {
    grow(row_scores_, positions_.size());
    const std::span<float> scores(row_scores_.data(), positions_.size());
    half_rows_(tables.row_values(), layout_->part<std::uint16_t>(IvfPart::rows), layout_->dim(),
               positions_.data(), scores.size(), scores.data());
    const float factor = tables.row_factor();
    for (float& score : scores) score *= factor;
    return scores;
  }

  void compare_rows(const QueryTables& tables) {
    const std::span<float> scores = score_rows(tables);
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
    for (const std::uint32_t i : best_scores(scores_.data(), scores.size(), best_.size_wanted()))
      best_.add(scores[i], positions_[i]);
  }

  const IvfLayout* layout_ = nullptr;
  const IvfSearchOptions* options_ = nullptr;
  kernels::HalfRows* half_rows_ = nullptr;
  SelectKernels select_{};
  ListPicker picker_;
  ListScan scan_;
  std::vector<ProbedQuery> probed_;
  QueryTables tables_;
  TopK best_;
  ExactRanking exact_;
  ExactScratch exact_scratch_;
  std::vector<std::int16_t> scores_, allowed_scores_, scratch_;
  std::vector<std::uint32_t> hits_, positions_;
  std::vector<float> row_scores_;
};

}  // namespace

void check_search(const IvfLayout& layout, const float* queries, std::size_t n,
                  const IvfSearchOptions& options) {
  if (options.k < 1) throw InvalidInput("k must be at least 1");
  if (options.nprobe < 1 || options.nprobe > layout.nlist())
    throw InvalidInput("nprobe must be in [1, " + std::to_string(layout.nlist()) + "], got " +
                       std::to_string(options.nprobe));
  if (!(options.margin >= 0 && std::isfinite(options.margin)))
    throw InvalidInput("margin must be finite and not negative, got " +
                       std::to_string(options.margin));
  if (options.margin > 0 && options.allowed_lists != nullptr)
    throw InvalidInput("margin is for searches without a filter");
  check_query_values(layout, queries, n);
}

namespace {

// The calling thread's, whose buffers stay for its next search.
[[gnu::noinline]] Searcher& own_searcher() {
  thread_local Searcher searcher;
  return searcher;
}

// Queries [begin, end).
void search_some(const IvfLayout& layout, const float* queries, std::size_t begin, std::size_t end,
                 const IvfSearchOptions& options, std::uint32_t* positions, float* scores) {
  Searcher& searcher = own_searcher();
  IvfSearchOptions own = options;
  if (own.ranks != nullptr) own.ranks += begin;
  searcher.open(layout, own);
  const std::uint64_t* allowed =
      options.allowed == nullptr ? nullptr : options.allowed + begin * options.allowed_stride;
  searcher.search(queries + begin * layout.dim(), end - begin, allowed,
                  positions + begin * options.k, scores + begin * options.k);
}

}  // namespace

void ivf_search(const IvfLayout& layout, const float* queries, std::size_t n,
                const IvfSearchOptions& options, std::uint32_t* positions, float* scores) {
  check_search(layout, queries, n, options);
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
