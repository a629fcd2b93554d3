#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ivf/exact_rows.hpp"
#include "ivf/ivf_layout.hpp"
#include "ivf/top_k.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

// The best k of many rows by the vectors as they were given. Scores in half precision bound the
// true ones from both sides, so only rows that can be among the best are scored again.
class ExactRanking {
 public:
  // For one query; the layout must outlive this.
  void open(const IvfLayout& layout, const float* query, std::size_t k, SimdLevel level);

  // Rows and their scores in half precision.
  void offer(std::span<const float> scores, std::span<const std::uint32_t> positions);

  // Writes the best, equal ones by position; returns how many, at most k.
  std::size_t write(std::uint32_t* positions, float* scores);

 private:
  struct Near {
    float score;
    std::uint32_t position;
  };
  struct Ranked {
    std::uint64_t key;  // less is better
    std::uint32_t position;
    double score;
    bool operator<(const Ranked& other) const noexcept {
      return key != other.key ? key < other.key : position < other.position;
    }
  };

  // What a row scores at least in half precision if its true score is that of a row which scores
  // `score` in half precision, or better.
  [[nodiscard]] float floor_under(float score) const noexcept;

  const IvfLayout* layout_ = nullptr;
  kernels::ExactRows* exact_rows_ = nullptr;
  std::vector<float> query_;       // as exact_rows takes it
  double factor_ = 1;              // a score is the kernel's result times this
  double off_ = 0, rounding_ = 0;  // how far a score or, for L2, a distance can be off
  TopK best_;
  std::vector<Near> near_;
  std::vector<Ranked> ranked_;
  std::vector<std::uint32_t> positions_;
  std::vector<double> scores_;
};

}  // namespace friesian
