#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace friesian {

// The best k of a stream of (score, position): by score, equal scores by the lower position. One
// 64-bit key orders both, so the answer does not depend on the order of arrival. Candidates are
// collected and now and then cut back to k: cheaper than a heap, which is unpredictable branches.
class TopK {
 public:
  // For another k; clear() comes before what is added next.
  void reset(std::size_t k) noexcept {
    k_ = k;
    capacity_ = k + std::max<std::size_t>(k, 256);
  }

  [[nodiscard]] std::size_t size_wanted() const noexcept { return k_; }

  void clear() noexcept {
    keys_.clear();
    least_ = -std::numeric_limits<float>::infinity();
  }

  // A score below this one cannot be among the best; an equal one can.
  [[nodiscard]] float least() const noexcept { return least_; }

  void add(float score, std::uint32_t position) {
    keys_.push_back(std::uint64_t{ordered(score)} << 32 | static_cast<std::uint32_t>(~position));
    if (keys_.size() == capacity_) cut();
  }

  // How many there are, at most k; then score_at and position_at give them, best first.
  std::size_t finish() {
    if (keys_.size() > k_) cut();
    std::sort(keys_.begin(), keys_.end(), std::greater<>());
    return keys_.size();
  }
  [[nodiscard]] float score_at(std::size_t i) const noexcept { return score_of(keys_[i]); }
  [[nodiscard]] std::uint32_t position_at(std::size_t i) const noexcept {
    return ~static_cast<std::uint32_t>(keys_[i]);
  }

 private:
  void cut() {
    const auto last = keys_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
    std::nth_element(keys_.begin(), last, keys_.end(), std::greater<>());
    keys_.resize(k_);
    least_ = score_of(keys_.back());
  }

  // Unsigned integers in the order of the floats; both zeros are one.
  static std::uint32_t ordered(float score) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);
    return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  }
  static float score_of(std::uint64_t key) noexcept {
    const auto bits = static_cast<std::uint32_t>(key >> 32);
    return std::bit_cast<float>((bits >> 31) != 0 ? bits & 0x7FFFFFFFu : ~bits);
  }

  std::size_t k_ = 1;
  std::size_t capacity_ = 257;
  float least_ = -std::numeric_limits<float>::infinity();
  std::vector<std::uint64_t> keys_;
};

}  // namespace friesian
