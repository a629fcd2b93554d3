#pragma once
#include <cstdint>

namespace friesian {

// What `digest mod bins` needs, computed once a call: powers of 2^32 modulo bins, and reciprocals
// in place of divisions.
struct BucketModulus {
  std::uint64_t bins;
  std::uint64_t power1, power2, power3;  // 2^32, 2^64, 2^96 modulo bins
  std::uint64_t inverse;                 // floor((2^64 - 1) / bins)
  double reciprocal;

  explicit BucketModulus(std::uint32_t n)
      : bins(n),
        power1((std::uint64_t{1} << 32) % n),
        power2(power1 * power1 % n),
        power3(power2 * power1 % n),
        inverse(~std::uint64_t{0} / n),
        reciprocal(1.0 / n) {}
};

}  // namespace friesian
