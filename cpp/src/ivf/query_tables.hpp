#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ivf/ivf_layout.hpp"

namespace friesian {

// One query as the integer kernels want it. Made by baseline code only, so that every level
// searches with the same bits and finds the same candidates.
class QueryTables {
 public:
  // For one layout, which must outlive what is made from it.
  void prepare(const IvfLayout& layout, const float* query);

  // The query, normalised for cosine.
  [[nodiscard]] const float* values() const noexcept { return values_.data(); }
  // In units of the rows' scale, as half_rows takes it.
  [[nodiscard]] const float* row_values() const noexcept { return row_values_.data(); }
  // A row's score is its kernel's result times this.
  [[nodiscard]] float row_factor() const noexcept { return row_factor_; }

  // Codes in [-127, 127], as coarse_dot takes them.
  [[nodiscard]] const std::int8_t* codes() const noexcept { return codes_.data(); }
  // Makes inner products of codes into the order of scores: for L2 less the centroids' norms.
  void order_lists(const IvfLayout& layout, std::span<std::int32_t> dots) const;
  // The least ordered dot of a list that is at most `margin` farther off than `lead`, an ordered
  // dot. For L2 farther means the distance from the query; for products what a step of that length
  // against the query's direction costs, so the margin holds for a query of any length.
  [[nodiscard]] std::int32_t margin_end(double lead, float margin) const noexcept;

  // As fast_scan takes them.
  [[nodiscard]] const std::uint8_t* tables() const noexcept { return tables_.data(); }
  [[nodiscard]] std::int16_t norm_scale() const noexcept { return norm_scale_; }
  // The bias of a list whose ordered dot is `below` under the best list's.
  [[nodiscard]] std::int16_t bias(std::int64_t below) const noexcept;

 private:
  void quantise(const IvfLayout& layout);
  void make_tables(const IvfLayout& layout);
  float make_entries(const float* book, std::size_t codes);

  std::vector<float> values_, row_values_, entries_;
  std::vector<std::int8_t> codes_;
  std::vector<std::uint8_t> tables_;
  bool l2_ = false;
  float row_factor_ = 1, unit_ = 1, centroid_unit_ = 1, table_unit_ = 1;
  std::int16_t norm_scale_ = 0;
};

}  // namespace friesian
