#pragma once
#include <cstdint>
#include <vector>

#include "ivf/ivf_layout.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

// What one thread's calls keep between them.
struct ExactScratch {
  std::vector<std::int32_t> dots;
  std::vector<std::int16_t> upper;
};

// Every vector of a small catalogue by 8-bit codes, in half the bytes of its rows. The codes bound
// each score from both sides, so the rows that can be among the best k are known for certain, and
// only those are compared: the answer is that of comparing every row. Inner product and cosine.
class ExactScan {
 public:
  // Makes the codes from the rows of the layout, which must outlive this. Throws InvalidInput for
  // squared distances.
  explicit ExactScan(const IvfLayout& layout);

  // The rows that can be among the best k of those `allowed` (null: all), rising. `query` is what
  // the rows are compared with, in units of their scale.
  void candidates(const float* query, std::size_t k, const std::uint64_t* allowed, SimdLevel level,
                  ExactScratch& scratch, std::vector<std::uint32_t>& positions) const;

  [[nodiscard]] bool is_of(const IvfLayout& layout) const noexcept { return &layout == &layout_; }

 private:
  const IvfLayout& layout_;
  std::size_t rows_, dim_;
  std::vector<std::int8_t> codes_;  // as coarse_dot takes them
  float scale_ = 0;                 // a row's value is its code times this
  double largest_norm_ = 0;         // of a row
  double largest_error_ = 0;        // of a row: the norm of what its codes lack
};

}  // namespace friesian
