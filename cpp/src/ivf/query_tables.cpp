#include "ivf/query_tables.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/bytes.hpp"
#include "ivf/fast_scan.hpp"

namespace friesian {

namespace {

constexpr std::size_t kEntries = 16;

// Four lanes in one baseline register: left to itself the compiler makes these loops scalar.
using Four [[gnu::vector_size(16)]] = float;
using FourIntegers [[gnu::vector_size(16)]] = std::int32_t;

Four lower(Four a, Four b) noexcept { return a < b ? a : b; }
Four higher(Four a, Four b) noexcept { return a > b ? a : b; }
float least(Four a) noexcept { return std::min(std::min(a[0], a[1]), std::min(a[2], a[3])); }

// Rounded half away from zero; NaN, which only a damaged file gives, becomes 0.
int rounded(float value, float limit) noexcept {
  if (!(value > -limit)) return value <= -limit ? -static_cast<int>(limit) : 0;
  if (value >= limit) return static_cast<int>(limit);
  return static_cast<int>(value + (value < 0 ? -0.5f : 0.5f));
}

void normalise(std::vector<float>& values, std::size_t dim) {
  double sum = 0;
  for (std::size_t i = 0; i < dim; ++i) sum += double{values[i]} * double{values[i]};
  const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
  for (std::size_t i = 0; i < dim; ++i) values[i] = static_cast<float>(values[i] * scale);
}

}  // namespace

void QueryTables::prepare(const IvfLayout& layout, const float* query) {
  const std::size_t dim = layout.dim();
  values_.assign(code_quads(dim) * 8, 0.0f);
  std::copy_n(query, dim, values_.begin());
  if (layout.metric() == Metric::cosine) normalise(values_, dim);
  // A distance is taken between numbers in the rows' unit, a power of two; a product need not be.
  const bool l2 = layout.metric() == Metric::l2;
  const float scale = layout.row_scale();
  row_values_ = values_;
  if (l2)
    for (float& value : row_values_) value /= scale;
  l2_ = l2;
  row_factor_ = l2 ? scale * scale : scale;
  quantise(layout);
  make_tables(layout);
}

void QueryTables::quantise(const IvfLayout& layout) {
  float most = 0;
  for (const float value : values_) most = std::max(most, std::fabs(value));
  centroid_unit_ = layout.centroid_scale();
  unit_ = most / 127;
  // With L2 not much finer than the centroids' unit: their norms are counted in this one too. A
  // product's order does not depend on the query's length.
  if (l2_ || unit_ == 0) unit_ = std::max(unit_, centroid_unit_ / 8);
  codes_.assign(centroid_groups(layout.dim()) * 4, 0);
  for (std::size_t i = 0; i < layout.dim(); ++i)
    codes_[i] = static_cast<std::int8_t>(rounded(values_[i] / unit_, 127));
}

void QueryTables::order_lists(const IvfLayout& layout, std::span<std::int32_t> dots) const {
  if (layout.metric() != Metric::l2) return;
  const auto* norms = layout.part<float>(IvfPart::centroid_norms);
  const float factor = 1 / (unit_ * layout.centroid_scale());
  for (std::size_t i = 0; i < dots.size(); ++i) dots[i] -= rounded(norms[i] * factor, 1 << 30);
}

std::int32_t QueryTables::margin_end(double lead, float margin) const noexcept {
  double square = 0;
  for (const float value : values_) square += double{value} * double{value};
  const double unit = double{unit_} * double{centroid_unit_};
  double end = lead - margin * std::sqrt(square) / unit;
  if (l2_) {
    // An ordered dot is (|q|^2 - distance^2) / 2.
    const double distance = std::sqrt(std::max(square - 2 * unit * lead, 0.0)) + margin;
    end = (square - distance * distance) / (2 * unit);
  }
  constexpr std::int32_t kLowest = std::numeric_limits<std::int32_t>::min();
  if (!(end > kLowest)) return kLowest;  // NaN as well, which only a damaged file gives
  // Rounding in the differences of a long query must not pass the lead itself.
  return static_cast<std::int32_t>(std::ceil(std::min(end, lead)));
}

void QueryTables::make_tables(const IvfLayout& layout) {
  const std::size_t codes = code_quads(layout.dim()) * 4;
  const float range = make_entries(layout.part<float>(IvfPart::codebook), codes);
  // Two entries fit a byte, and all entries of a row a 16-bit number.
  const float most = std::min(127.0f, std::floor(32767.0f / static_cast<float>(codes)));
  table_unit_ = range > 0 && std::isfinite(range) ? range / most : 1.0f;
  norm_scale_ = 0;
  if (layout.metric() == Metric::l2) {
    // The largest norm term stays within half of 16 bits; tables then use fewer of their levels.
    const float largest_norm = layout.norm_scale() * 32767;
    table_unit_ = std::max(table_unit_, largest_norm / 16000);
    norm_scale_ = static_cast<std::int16_t>(rounded(largest_norm / table_unit_, 16000));
  }
  const float inverse = 1 / table_unit_;
  tables_.resize(codes / 4 * kQuadTableBytes);
  for (std::size_t m = 0; m < codes; ++m) {
    std::array<std::uint8_t, kEntries> table;
    for (std::size_t e = 0; e < kEntries; e += 4) {
      const Four level = load<Four>(&entries_[m * kEntries + e]) * inverse + 0.5f;
      // Not negative; NaN becomes 0.
      const Four kept = level > 0.0f ? (level < most ? level : Four{} + most) : Four{};
      const auto steps = __builtin_convertvector(kept, FourIntegers);
      for (std::size_t i = 0; i < 4; ++i) table[e + i] = static_cast<std::uint8_t>(steps[i]);
    }
    std::uint8_t* to = tables_.data() + m / 4 * kQuadTableBytes + m % 2 * 64 + m % 4 / 2 * 32;
    std::memcpy(to, table.data(), kEntries);
    std::memcpy(to + kEntries, table.data(), kEntries);
  }
}

// What each value of each code adds to a score, from 0 up; returns the widest code's range.
float QueryTables::make_entries(const float* book, std::size_t codes) {
  entries_.resize(codes * kEntries);
  float range = 0;
  for (std::size_t m = 0; m < codes; ++m, book += 2 * kEntries) {
    const float x = values_[m * 2], y = values_[m * 2 + 1];
    std::array<Four, 4> entry;
    for (std::size_t i = 0; i < 4; ++i)
      entry[i] = x * load<Four>(book + i * 4) + y * load<Four>(book + kEntries + i * 4);
    const float low = least(lower(lower(entry[0], entry[1]), lower(entry[2], entry[3])));
    const float high = -least(-higher(higher(entry[0], entry[1]), higher(entry[2], entry[3])));
    for (std::size_t i = 0; i < 4; ++i) store(&entries_[m * kEntries + i * 4], entry[i] - low);
    range = std::max(range, high - low);
  }
  return range;
}

std::int16_t QueryTables::bias(std::int64_t below) const noexcept {
  // In levels of the tables; a list that far down cannot win whatever its rows add.
  return static_cast<std::int16_t>(
      -rounded(static_cast<float>(below) * (unit_ / table_unit_) * centroid_unit_, 32000));
}

}  // namespace friesian
