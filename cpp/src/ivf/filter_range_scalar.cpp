#include <algorithm>

#include "ivf/filter_range.hpp"

namespace friesian::kernels {

namespace {

template <typename T>
void filter_range(const T* values, std::size_t n, T low, T high, std::uint64_t* out) {
  for (std::size_t first = 0; first < n; first += 64) {
    const std::size_t rows = std::min<std::size_t>(64, n - first);
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const T value = values[first + i];
      word |= std::uint64_t{value >= low && value <= high} << i;
    }
    *out++ = word;
  }
}

}  // namespace

void filter_range_int32_scalar(const std::int32_t* values, std::size_t n, std::int32_t low,
                               std::int32_t high, std::uint64_t* out) {
  filter_range(values, n, low, high, out);
}

void filter_range_int64_scalar(const std::int64_t* values, std::size_t n, std::int64_t low,
                               std::int64_t high, std::uint64_t* out) {
  filter_range(values, n, low, high, out);
}

void filter_range_float32_scalar(const float* values, std::size_t n, float low, float high,
                                 std::uint64_t* out) {
  filter_range(values, n, low, high, out);
}

void filter_range_float64_scalar(const double* values, std::size_t n, double low, double high,
                                 std::uint64_t* out) {
  filter_range(values, n, low, high, out);
}

}  // namespace friesian::kernels
