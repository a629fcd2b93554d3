#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace friesian {

// The instruction sets a kernel may be written for, weakest first. scalar is the x86-64 baseline,
// avx2 adds FMA, BMI2 and F16C, avx512 is F + BW + CD + DQ + VL.
enum class SimdLevel { scalar = 0, avx2 = 1, avx512 = 2 };

inline constexpr std::size_t kSimdLevelCount = 3;
inline constexpr std::array<std::string_view, kSimdLevelCount> kSimdLevelNames{"scalar", "avx2",
                                                                               "avx512"};

// The best level this CPU and operating system can run.
[[nodiscard]] SimdLevel detect_simd_level() noexcept;

// The level named; empty when there is no such level.
[[nodiscard]] std::optional<SimdLevel> parse_simd_level(std::string_view name) noexcept;

// What calls use when they name no level: FRIESIAN_SIMD_LEVEL, else the best. Read once.
// Throws std::invalid_argument when the variable names no level or one this CPU cannot run.
[[nodiscard]] SimdLevel active_simd_level();

// `level`, once it is known that a CPU whose best level is `best` can run it; throws
// std::invalid_argument otherwise.
SimdLevel require_simd_level(SimdLevel level, SimdLevel best = detect_simd_level());

// One function per level; a null slot means "use the level below". Slot 0 is never null.
template <typename Function>
class KernelTable {
 public:
  constexpr explicit KernelTable(std::array<Function*, kSimdLevelCount> slots) : slots_(slots) {}

  [[nodiscard]] constexpr Function* at(SimdLevel level) const noexcept {
    auto slot = static_cast<std::size_t>(level);
    while (slots_[slot] == nullptr) --slot;
    return slots_[slot];
  }

 private:
  std::array<Function*, kSimdLevelCount> slots_;
};

}  // namespace friesian

// A table's slot for a level that only x86 builds compile.
#if defined(FRIESIAN_X86)
#define FRIESIAN_X86_KERNEL(function) function
#else
#define FRIESIAN_X86_KERNEL(function) nullptr
#endif
