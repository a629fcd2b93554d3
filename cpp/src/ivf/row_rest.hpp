#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "ivf/half.hpp"

namespace friesian {

// What a number lacks when it is rounded to half precision takes at most 13 bits and a sign, in
// units of 2^(e - 24) where e is the exponent of the half, -14 for those without one of their own.
// Half and rest together are the number in all its 24 bits; of numbers below 2^-14, of whose bits
// some lie under that unit, they are as near as 2^-39.

[[nodiscard]] inline float rest_unit(std::uint16_t half) noexcept {
  const std::uint32_t exponent = std::max((half & 0x7C00u) >> 10, 1u);  // biased by 15
  return std::bit_cast<float>((exponent + 127 - 15 - 24) << 23);
}

[[nodiscard]] inline std::int16_t rest_of(float value, std::uint16_t half) noexcept {
  const float lacking = value - half_to_float(half);  // exact
  return static_cast<std::int16_t>(
      std::clamp(std::lrint(lacking / rest_unit(half)), -32767L, 32767L));
}

[[nodiscard]] inline float with_rest(std::uint16_t half, std::int16_t rest) noexcept {
  return half_to_float(half) + static_cast<float>(rest) * rest_unit(half);
}

}  // namespace friesian
