#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace friesian {

// Files and rows are little-endian, and are read in place.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

template <typename T>
[[nodiscard]] inline T load(const void* from) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
inline void store(void* to, T value) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(to, &value, sizeof value);
}

// `step` is a power of two.
[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t step) noexcept {
  return (value + step - 1) & ~(step - 1);
}

inline constexpr std::size_t kCacheLine = 64;

// Brings memory into the second-level cache. T1 on purpose: T0 is held back by the few first-level
// miss buffers, and random rows or lists then arrive at half the speed. Any address is allowed.
inline void prefetch(const void* from, std::size_t bytes) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(from);
  for (std::uintptr_t line = at & ~(kCacheLine - 1); line < at + bytes; line += kCacheLine)
    __builtin_prefetch(reinterpret_cast<const void*>(line), 0, 2);
  // GCC takes a function that only prefetches for one without effects, and drops calls of it.
  asm volatile("");
}

}  // namespace friesian
