#pragma once
#include <optional>
#include <stdexcept>
#include <string>

#include "simd/simd_level.hpp"

// The level a call asks for by name, or the active one when it asks for none.
inline friesian::SimdLevel resolve_simd_level(const std::optional<std::string>& name) {
  if (!name) return friesian::active_simd_level();
  const auto level = friesian::parse_simd_level(*name);
  if (!level)
    throw std::invalid_argument("level must be scalar, avx2 or avx512, got '" + *name + "'");
  return friesian::require_simd_level(*level);
}
