#include <bit>
#include <cstring>

#include "hash/md5_bucket_kernels.hpp"
#include "hash/md5_rounds.hpp"
#include "hash/md5_scalar_lane.hpp"

namespace friesian::kernels {

namespace {

struct Word {
  using Vector = std::uint32_t;
  static Vector splat(std::uint32_t x) { return x; }
  static Vector add(Vector x, Vector y) { return x + y; }
  template <int N>
  static Vector rotate(Vector x) {
    return std::rotl(x, N);
  }
  static Vector f(Vector x, Vector y, Vector z) { return z ^ (x & (y ^ z)); }
  static Vector g(Vector x, Vector y, Vector z) { return (x & z) | (y & ~z); }
  static Vector h(Vector x, Vector y, Vector z) { return x ^ y ^ z; }
  static Vector i(Vector x, Vector y, Vector z) { return y ^ (x | ~z); }
};

using Lane = Md5Lanes<Word, 1>;

void compress_block(Lane& lane, const std::uint8_t* block) {
  std::memcpy(lane.words, block, 64);
  lane.compress();
}

std::int32_t bucket_of(const std::uint8_t* bytes, std::uint32_t length,
                       const BucketModulus& modulus) {
  Lane lane;
  lane.start();
  std::size_t left = length;
  for (; left >= 64; left -= 64, bytes += 64) compress_block(lane, bytes);
  std::uint8_t last[128] = {};
  if (left != 0) std::memcpy(last, bytes, left);
  last[left] = 0x80;
  const std::size_t size = left < 56 ? 64 : 128;
  const std::uint64_t bits = std::uint64_t{length} * 8;
  std::memcpy(last + size - 8, &bits, 8);
  for (std::size_t at = 0; at < size; at += 64) compress_block(lane, last + at);
  return digest_mod(lane.state[0][0], lane.state[1][0], lane.state[2][0], lane.state[3][0],
                    modulus);
}

}  // namespace

void md5_bucket_short_scalar(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                             std::size_t n, const BucketModulus& modulus, std::int32_t* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = bucket_of(bytes[i], lengths[i], modulus);
}

void md5_bucket_long_scalar(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                            std::size_t n, const BucketModulus& modulus, std::int32_t* out) {
  md5_bucket_short_scalar(bytes, lengths, n, modulus, out);
}

}  // namespace friesian::kernels
