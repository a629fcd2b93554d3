#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

// MD5's compression (RFC 1321), once, for any vector of 32-bit lanes. An unnamed namespace on
// purpose: every instruction-set unit compiles its own copy.
namespace friesian {
namespace {

// floor(2^32 * |sin(i + 1)|).
constexpr std::array<std::uint32_t, 64> kSines{
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

constexpr std::array<std::uint32_t, 4> kMd5Start{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

constexpr int kShifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

constexpr std::size_t word_of_step(std::size_t step) {
  switch (step / 16) {
    case 0:
      return step;
    case 1:
      return (5 * step + 1) % 16;
    case 2:
      return (3 * step + 5) % 16;
    default:
      return (7 * step) % 16;
  }
}

// `Groups` independent sets of lanes, advanced in step: MD5 is one long dependency chain, and the
// other groups fill its waiting time. Ops gives Vector and splat, add, rotate<n>, f, g, h, i.
template <typename Ops, std::size_t Groups>
struct Md5Lanes {
  using Vector = typename Ops::Vector;
  Vector state[4][Groups];
  Vector words[16][Groups];

  [[gnu::always_inline]] inline void start() {
    for (std::size_t s = 0; s < 4; ++s)
      for (std::size_t group = 0; group < Groups; ++group)
        state[s][group] = Ops::splat(kMd5Start[s]);
  }

  template <std::size_t Step>
  [[gnu::always_inline]] inline void step(const std::uint32_t* sines) {
    constexpr std::size_t a = (4 - Step % 4) % 4, b = (a + 1) % 4, c = (a + 2) % 4, d = (a + 3) % 4;
    constexpr int shift = kShifts[Step / 16][Step % 4];
    const Vector sine = Ops::splat(sines[Step]);
    for (std::size_t group = 0; group < Groups; ++group) {
      const Vector x = state[b][group], y = state[c][group], z = state[d][group];
      Vector mixed;
      if constexpr (Step < 16)
        mixed = Ops::f(x, y, z);
      else if constexpr (Step < 32)
        mixed = Ops::g(x, y, z);
      else if constexpr (Step < 48)
        mixed = Ops::h(x, y, z);
      else
        mixed = Ops::i(x, y, z);
      const Vector early =
          Ops::add(state[a][group], Ops::add(words[word_of_step(Step)][group], sine));
      state[a][group] = Ops::add(x, Ops::template rotate<shift>(Ops::add(early, mixed)));
    }
  }

  // Folds one block, `words`, into `state`.
  [[gnu::always_inline]] inline void compress() {
    Vector before[4][Groups];
    for (std::size_t s = 0; s < 4; ++s)
      for (std::size_t group = 0; group < Groups; ++group) before[s][group] = state[s][group];
    // Hides the constants from the compiler, which otherwise makes each one in a general register.
    const std::uint32_t* sines = kSines.data();
    asm("" : "+r"(sines));
    [&]<std::size_t... Steps>(std::index_sequence<Steps...>) __attribute__((always_inline)) {
      (this->template step<Steps>(sines), ...);
    }(std::make_index_sequence<64>{});
    for (std::size_t s = 0; s < 4; ++s)
      for (std::size_t group = 0; group < Groups; ++group)
        state[s][group] = Ops::add(before[s][group], state[s][group]);
  }
};

}  // namespace
}  // namespace friesian
