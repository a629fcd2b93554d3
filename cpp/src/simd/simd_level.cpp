#include "simd/simd_level.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace friesian {

namespace {

std::string known_levels() {
  std::string names;
  for (const auto name : kSimdLevelNames) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

SimdLevel level_from_environment() {
  const char* forced = std::getenv("FRIESIAN_SIMD_LEVEL");
  if (forced == nullptr || *forced == '\0') return detect_simd_level();
  const auto level = parse_simd_level(forced);
  if (!level)
    throw std::invalid_argument("FRIESIAN_SIMD_LEVEL is '" + std::string(forced) +
                                "'; it must be one of " + known_levels());
  return require_simd_level(*level);
}

}  // namespace

SimdLevel detect_simd_level() noexcept {
#if defined(FRIESIAN_X86)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
  if (!avx2) return SimdLevel::scalar;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return avx512 ? SimdLevel::avx512 : SimdLevel::avx2;
#else
  return SimdLevel::scalar;
#endif
}

std::optional<SimdLevel> parse_simd_level(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kSimdLevelCount; ++i)
    if (kSimdLevelNames[i] == name) return static_cast<SimdLevel>(i);
  return std::nullopt;
}

SimdLevel active_simd_level() {
  static const SimdLevel level = level_from_environment();
  return level;
}

SimdLevel require_simd_level(SimdLevel level, SimdLevel best) {
  if (level > best)
    throw std::invalid_argument("SIMD level '" +
                                std::string(kSimdLevelNames[static_cast<std::size_t>(level)]) +
                                "' is not available on this CPU (best: '" +
                                std::string(kSimdLevelNames[static_cast<std::size_t>(best)]) +
                                "'); choose a lower one or unset FRIESIAN_SIMD_LEVEL");
  return level;
}

}  // namespace friesian
