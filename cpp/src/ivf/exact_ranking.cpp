#include "ivf/exact_ranking.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "ivf/half_rows.hpp"

namespace friesian {

namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
// Rows between two looks at what the k-th best is by now.
constexpr std::size_t kTurn = 256;

double norm_of(const float* values, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += double{values[i]} * double{values[i]};
  return std::sqrt(sum);
}

// Unsigned integers in the opposite order of the numbers; both zeros are one.
std::uint64_t descending(double score) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(score + 0.0);
  return (bits >> 63) != 0 ? bits : ~(bits | std::uint64_t{1} << 63);
}

float downwards(double value) noexcept { return std::nextafter(static_cast<float>(value), kNone); }

}  // namespace

void ExactRanking::open(const IvfLayout& layout, const float* query, std::size_t k,
                        SimdLevel level) {
  layout_ = &layout;
  exact_rows_ = exact_rows_kernel(layout.metric(), level);
  best_.reset(std::min(k, std::max<std::size_t>(layout.size(), 1)));
  best_.clear();
  near_.clear();
  const std::size_t dim = layout.dim();
  const double scale = layout.row_scale(), rest = layout.largest_rest();
  query_.assign(query, query + dim);
  if (layout.metric() == Metric::l2) {
    for (float& value : query_) value /= layout.row_scale();
    factor_ = scale * scale;
    off_ = rest / scale;
    rounding_ = 6e-8 * (static_cast<double>(dim) / 4 + 10);  // its terms have one sign
    return;
  }
  double norm = norm_of(query, dim);
  factor_ = scale;
  if (layout.metric() == Metric::cosine) {
    factor_ = norm > 0 ? scale / norm : 0;
    norm = norm > 0 ? 1 : 0;
  }
  // The query that half precision is compared with was rounded when it was normalised.
  off_ = norm * (rest + 6e-8 * layout.largest_norm()) +
         scale * half_rows_rounding(dim, norm * layout.largest_norm() / scale);
}

float ExactRanking::floor_under(float score) const noexcept {
  if (!std::isfinite(score)) return kNone;
  if (layout_->metric() != Metric::l2) return downwards(double{score} - 2 * off_);
  // Distances of rows and of their half precision differ by `off_` at most.
  const double unit = double{layout_->row_scale()} * layout_->row_scale();
  const double farthest = std::sqrt(-double{score} / unit / (1 - rounding_)) + 2 * off_;
  return downwards(-farthest * farthest * (1 + rounding_) * unit);
}

void ExactRanking::offer(std::span<const float> scores, std::span<const std::uint32_t> positions) {
  for (std::size_t first = 0; first < scores.size(); first += kTurn) {
    const float least = best_.least(), floor = floor_under(least);
    const std::size_t end = std::min(first + kTurn, scores.size());
    for (std::size_t i = first; i < end; ++i) {
      if (scores[i] < floor) continue;
      near_.push_back({scores[i], positions[i]});
      if (!(scores[i] < least)) best_.add(scores[i], positions[i]);
    }
  }
}

std::size_t ExactRanking::write(std::uint32_t* positions, float* scores) {
  const std::size_t k = best_.size_wanted();
  const float floor = best_.finish() < k ? kNone : floor_under(best_.score_at(k - 1));
  positions_.clear();
  for (const Near& row : near_)
    if (!(row.score < floor)) positions_.push_back(row.position);
  scores_.resize(positions_.size());
  exact_rows_(query_.data(), layout_->part<std::uint16_t>(IvfPart::rows),
              layout_->part<std::int16_t>(IvfPart::rests), layout_->dim(), positions_.data(),
              positions_.size(), scores_.data());
  ranked_.clear();
  for (std::size_t i = 0; i < positions_.size(); ++i)
    ranked_.push_back({descending(scores_[i]), positions_[i], scores_[i]});
  const std::size_t found = std::min(k, ranked_.size());
  const auto last = ranked_.begin() + static_cast<std::ptrdiff_t>(found);
  if (found < ranked_.size()) std::nth_element(ranked_.begin(), last, ranked_.end());
  std::sort(ranked_.begin(), last);
  for (std::size_t i = 0; i < found; ++i) {
    positions[i] = ranked_[i].position;
    scores[i] = static_cast<float>(ranked_[i].score * factor_);
  }
  return found;
}

}  // namespace friesian
