#include "ivf/query_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

#include "common/error.hpp"

namespace friesian {

namespace {

// Differences of products, such as the tables of codes hold, take up to some of it.
constexpr double kLargestScore = double{std::numeric_limits<float>::max()} / 16;

std::string text_of(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", number);
  return text;
}

// How long a query may be; rows of zeros, whose norm was rounded up, bound nothing.
double longest_query(const IvfLayout& layout) {
  const double row = layout.largest_norm();
  const bool zeros = layout.largest_norm() < std::numeric_limits<float>::min();
  // Rows are compared in units of their scale.
  const double stored = std::max(row, row / layout.row_scale());
  switch (layout.metric()) {
    case Metric::cosine:
      break;  // only its direction counts
    case Metric::ip:
      return zeros ? std::numeric_limits<double>::infinity() : kLargestScore / stored;
    case Metric::l2:
      return std::min(zeros ? std::numeric_limits<double>::infinity() : kFarthestQuery * row,
                      std::sqrt(kLargestScore) * std::min(1.0f, layout.row_scale()));
  }
  return std::numeric_limits<double>::infinity();
}

[[noreturn]] void fail_not_finite(const float* query, std::size_t i, std::size_t dim) {
  const float* at = std::find_if_not(query, query + dim, [](float x) { return std::isfinite(x); });
  throw InvalidInput("query " + std::to_string(i) + " holds NaN or infinity at dimension " +
                     std::to_string(at - query));
}

}  // namespace

void check_query_values(const IvfLayout& layout, const float* queries, std::size_t n) {
  const double longest = longest_query(layout);
  const std::size_t dim = layout.dim();
  for (std::size_t i = 0; i < n; ++i) {
    const float* query = queries + i * dim;
    double sum = 0;
    for (std::size_t j = 0; j < dim; ++j) sum += double{query[j]} * double{query[j]};
    if (!std::isfinite(sum)) fail_not_finite(query, i, dim);
    if (std::sqrt(sum) > longest)
      throw InvalidInput("query " + std::to_string(i) + " has norm " + text_of(std::sqrt(sum)) +
                         ", but the vectors' largest is " + text_of(layout.largest_norm()) +
                         ": above " + text_of(longest) +
                         " single precision cannot hold their scores or tell them apart; scale "
                         "queries as the vectors are");
  }
}

}  // namespace friesian
