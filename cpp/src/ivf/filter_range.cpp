#include "ivf/filter_range.hpp"

namespace friesian {

namespace {

constexpr KernelTable<kernels::FilterRange<std::int32_t>> kFilterRangeInt32{{
    kernels::filter_range_int32_scalar,
    FRIESIAN_X86_KERNEL(kernels::filter_range_int32_avx2),
    FRIESIAN_X86_KERNEL(kernels::filter_range_int32_avx512),
}};

constexpr KernelTable<kernels::FilterRange<std::int64_t>> kFilterRangeInt64{{
    kernels::filter_range_int64_scalar,
    FRIESIAN_X86_KERNEL(kernels::filter_range_int64_avx2),
    FRIESIAN_X86_KERNEL(kernels::filter_range_int64_avx512),
}};

constexpr KernelTable<kernels::FilterRange<float>> kFilterRangeFloat32{{
    kernels::filter_range_float32_scalar,
    FRIESIAN_X86_KERNEL(kernels::filter_range_float32_avx2),
    FRIESIAN_X86_KERNEL(kernels::filter_range_float32_avx512),
}};

constexpr KernelTable<kernels::FilterRange<double>> kFilterRangeFloat64{{
    kernels::filter_range_float64_scalar,
    FRIESIAN_X86_KERNEL(kernels::filter_range_float64_avx2),
    FRIESIAN_X86_KERNEL(kernels::filter_range_float64_avx512),
}};

}  // namespace

template <>
void filter_range(std::span<const std::int32_t> values, std::int32_t low, std::int32_t high,
                  SimdLevel level, std::uint64_t* out) {
  kFilterRangeInt32.at(level)(values.data(), values.size(), low, high, out);
}

template <>
void filter_range(std::span<const std::int64_t> values, std::int64_t low, std::int64_t high,
                  SimdLevel level, std::uint64_t* out) {
  kFilterRangeInt64.at(level)(values.data(), values.size(), low, high, out);
}

template <>
void filter_range(std::span<const float> values, float low, float high, SimdLevel level,
                  std::uint64_t* out) {
  kFilterRangeFloat32.at(level)(values.data(), values.size(), low, high, out);
}

template <>
void filter_range(std::span<const double> values, double low, double high, SimdLevel level,
                  std::uint64_t* out) {
  kFilterRangeFloat64.at(level)(values.data(), values.size(), low, high, out);
}

}  // namespace friesian
