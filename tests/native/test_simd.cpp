#include <stdexcept>
#include <string>

#include "check.hpp"
#include "simd/simd_level.hpp"

using namespace friesian;

namespace {

std::string refusal(SimdLevel level, SimdLevel best) {
  try {
    require_simd_level(level, best);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

}  // namespace

// A CPU that lacks a level is not at hand everywhere, so its best level is given.
void test_simd() {
  CHECK(refusal(SimdLevel::avx2, SimdLevel::avx512).empty());
  CHECK(refusal(SimdLevel::avx2, SimdLevel::avx2).empty());
  CHECK(refusal(SimdLevel::avx512, SimdLevel::avx2)
            .starts_with("SIMD level 'avx512' is not available on this CPU (best: 'avx2')"));
  CHECK(!parse_simd_level("avx9").has_value());
}
