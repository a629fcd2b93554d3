#pragma once
#include <cstdint>

#include "common/bytes_hash.hpp"

namespace friesian {

// A stream of random words of its own for every key: SplitMix64 (Steele, Lea & Flood, OOPSLA 2014)
// started at the key. Same key, same draws, wherever the row lies.
class Draws {
 public:
  explicit Draws(std::uint64_t key) noexcept : state_(key) {}

  std::uint64_t next() noexcept {
    state_ += 0x9E3779B97F4A7C15;
    return mix64(state_);
  }

  // Uniform in [0, end), without bias: Lemire, "Fast random integer generation in an interval",
  // TOMACS 2019. `end` is not 0.
  std::uint64_t below(std::uint64_t end) noexcept {
    unsigned __int128 product = static_cast<unsigned __int128>(next()) * end;
    if (static_cast<std::uint64_t>(product) < end) {
      const std::uint64_t unfair = (0 - end) % end;
      while (static_cast<std::uint64_t>(product) < unfair)
        product = static_cast<unsigned __int128>(next()) * end;
    }
    return static_cast<std::uint64_t>(product >> 64);
  }

 private:
  std::uint64_t state_;
};

}  // namespace friesian
