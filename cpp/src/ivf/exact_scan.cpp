#include "ivf/exact_scan.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "common/bitmap.hpp"
#include "common/error.hpp"
#include "ivf/coarse_dot.hpp"
#include "ivf/half.hpp"
#include "ivf/select.hpp"

namespace friesian {

namespace {

constexpr float kLargestCode = 127;
constexpr auto kClosed = std::numeric_limits<std::int32_t>::min();

std::int8_t code_of(float value, float scale) {
  const float code = std::nearbyint(value / scale);
  if (std::isnan(code)) return 0;  // of a row that was altered
  return static_cast<std::int8_t>(std::clamp(code, -kLargestCode, kLargestCode));
}

double square(double value) { return value * value; }

// A query as codes, and what those lack.
struct QueryCodes {
  std::vector<std::int8_t> codes;
  double scale = 0, norm = 0, coded_norm = 0, error = 0;
};

QueryCodes encode(const float* query, std::size_t dim) {
  QueryCodes out;
  float most = 0;
  for (std::size_t i = 0; i < dim; ++i) most = std::max(most, std::fabs(query[i]));
  const float scale = most > 0 ? most / kLargestCode : 1;
  out.scale = scale;
  out.codes.assign(centroid_groups(dim) * 4, 0);
  for (std::size_t i = 0; i < dim; ++i) {
    out.codes[i] = code_of(query[i], scale);
    const double coded = double{scale} * out.codes[i];
    out.norm += square(query[i]);
    out.coded_norm += square(coded);
    out.error += square(query[i] - coded);
  }
  out.norm = std::sqrt(out.norm);
  out.coded_norm = std::sqrt(out.coded_norm);
  out.error = std::sqrt(out.error);
  return out;
}

void close_others(std::vector<std::int32_t>& dots, const std::uint64_t* allowed) {
  for (std::size_t i = 0; i < dots.size(); ++i)
    if (!bitmap_has(allowed, i)) dots[i] = kClosed;
}

}  // namespace

ExactScan::ExactScan(const IvfLayout& layout)
    : layout_(layout), rows_(layout.size()), dim_(layout.dim()) {
  if (layout.metric() == Metric::l2)
    throw InvalidInput("an exact scan by codes takes inner products or cosines, not distances");
  const auto* halves = layout.part<std::uint16_t>(IvfPart::rows);
  const std::size_t groups = centroid_groups(dim_);
  float most = 0;
  for (std::size_t i = 0; i < rows_ * dim_; ++i)
    most = std::max(most, std::fabs(half_to_float(halves[i])));
  scale_ = most > 0 ? most / kLargestCode : 1;
  codes_.assign(centroid_bytes(rows_, dim_), 0);
  for (std::size_t row = 0; row < rows_; ++row) {
    std::int8_t* block = codes_.data() + row / kCentroidBlock * groups * 4 * kCentroidBlock;
    double norm = 0, error = 0;
    for (std::size_t i = 0; i < dim_; ++i) {
      const float value = half_to_float(halves[row * dim_ + i]);
      const std::int8_t code = code_of(value, scale_);
      block[(i / 4 * kCentroidBlock + row % kCentroidBlock) * 4 + i % 4] = code;
      norm += square(value);
      error += square(value - double{scale_} * code);
    }
    largest_norm_ = std::max(largest_norm_, std::sqrt(norm));
    largest_error_ = std::max(largest_error_, std::sqrt(error));
  }
}

// q.x = q'.x' + (q - q').x + q'.(x - x'), where ' is what the codes say; by Cauchy and Schwarz the
// last two are at most |q - q'| |x| + |q'| |x - x'|, with x the row as it was given: what its half
// precision lacks counts into both. A row whose code product lies more than twice all that under
// the k-th best is worse than k others.
void ExactScan::candidates(const float* query, std::size_t k, const std::uint64_t* allowed,
                           SimdLevel level, ExactScratch& scratch,
                           std::vector<std::uint32_t>& positions) const {
  const QueryCodes asked = encode(query, dim_);
  const std::size_t blocks = (rows_ + kCentroidBlock - 1) / kCentroidBlock;
  std::vector<std::int32_t>& dots = scratch.dots;
  dots.resize(blocks * kCentroidBlock);
  coarse_dot_kernel(level)(asked.codes.data(), codes_.data(), blocks, centroid_groups(dim_),
                           dots.data());
  dots.resize(rows_);
  if (allowed != nullptr) close_others(dots, allowed);
  // The upper bits find the k-th best from below, which is the safe side. Sums of products take at
  // most 15 of them, so that -32768 is left for closed rows.
  const int shift = std::max(0, static_cast<int>(std::bit_width(dim_ * 127 * 127)) - 14);
  scratch.upper.resize(rows_);
  for (std::size_t i = 0; i < rows_; ++i)
    scratch.upper[i] = static_cast<std::int16_t>(std::max(dots[i] >> shift, -32768));
  const SelectKernels select = select_kernels(level);
  const double kth = std::ldexp(nth_largest(select, scratch.upper.data(), rows_, k), shift);
  const double rest = double{layout_.largest_rest()} / layout_.row_scale();
  // The query itself is rounded to single precision where it was normalised.
  const double bound = (asked.error + 6e-8 * asked.norm) * (largest_norm_ + rest) +
                       asked.coded_norm * (largest_error_ + rest);
  const double least = std::floor(kth - 2 * bound / (asked.scale * scale_));
  // All that is open when the bound says nothing, as with rows that are not finite.
  const std::int32_t floor =
      least > double{kClosed} ? static_cast<std::int32_t>(least) : kClosed + 1;
  const auto bottom = static_cast<std::int16_t>(std::max(floor >> shift, -32767));
  positions.resize(rows_ + kSelectSlack);
  positions.resize(select.select(scratch.upper.data(), rows_, bottom, positions.data()));
  std::erase_if(positions, [&](std::uint32_t at) { return dots[at] < floor; });
}

}  // namespace friesian
