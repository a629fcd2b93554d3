#pragma once
#include <cstdint>
#include <random>
#include <vector>

#include "check.hpp"
#include "simd/simd_level.hpp"

// What tests of kernels go through: every level that this machine runs, and numbers drawn.

inline std::vector<friesian::SimdLevel> runnable_levels() {
  using friesian::SimdLevel;
  std::vector<SimdLevel> levels;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(friesian::detect_simd_level()); ++i)
    levels.push_back(static_cast<SimdLevel>(i));
  return levels;
}

inline std::vector<float> random_floats(std::size_t n) {
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random_source());
  return values;
}

template <typename T>
std::vector<T> random_integers(std::size_t n, int low, int high) {
  std::vector<T> values(n);
  for (T& value : values)
    value =
        static_cast<T>(low + static_cast<int>(random_below(static_cast<unsigned>(high - low + 1))));
  return values;
}
