#include <immintrin.h>

#include <algorithm>

#include "hash/md5_bucket_kernels.hpp"
#include "hash/md5_long_message.hpp"
#include "hash/md5_rounds.hpp"
#include "hash/md5_scalar_lane.hpp"

namespace friesian::kernels {

namespace {

struct U32x8 {
  using Vector = __m256i;
  static Vector splat(std::uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  static Vector add(Vector x, Vector y) { return _mm256_add_epi32(x, y); }
  template <int N>
  static Vector rotate(Vector x) {
    return _mm256_or_si256(_mm256_slli_epi32(x, N), _mm256_srli_epi32(x, 32 - N));
  }
  static Vector f(Vector x, Vector y, Vector z) {
    return _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)));
  }
  static Vector g(Vector x, Vector y, Vector z) {
    return _mm256_or_si256(_mm256_and_si256(x, z), _mm256_andnot_si256(z, y));
  }
  static Vector h(Vector x, Vector y, Vector z) {
    return _mm256_xor_si256(x, _mm256_xor_si256(y, z));
  }
  static Vector i(Vector x, Vector y, Vector z) {
    return _mm256_xor_si256(y, _mm256_or_si256(x, _mm256_xor_si256(z, _mm256_set1_epi32(-1))));
  }
};

constexpr std::size_t kLanes = 8;

template <std::size_t Groups>
using Lanes = Md5Lanes<U32x8, Groups>;

// Reading 64 bytes from kWindow + 64 - length gives `length` bytes 0xff, then zeros.
struct Window {
  alignas(64) std::uint8_t bytes[128] = {};
  constexpr Window() {
    for (int i = 0; i < 64; ++i) bytes[i] = 0xff;
  }
};
// Reading 64 bytes from kPad + 64 - length gives 0x80 at `length`, zeros elsewhere.
struct Pad {
  alignas(64) std::uint8_t bytes[128] = {};
  constexpr Pad() { bytes[64] = 0x80; }
};
constexpr Window kWindow;
constexpr Pad kPad;

__m256i load(const std::uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// Eight rows of eight words become eight words of eight lanes.
template <std::size_t Groups>
void transpose(const __m256i (&row)[8], __m256i (*words)[Groups], std::size_t group) {
  __m256i pairs[8], fours[8];
  for (std::size_t i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_epi32(row[i], row[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_epi32(row[i], row[i + 1]);
  }
  for (std::size_t i = 0; i < 8; i += 4) {
    fours[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
    fours[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
    fours[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    fours[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    words[i][group] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20);
    words[i + 4][group] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31);
  }
}

template <std::size_t Groups>
void load_short(Lanes<Groups>& lanes, std::size_t group, const std::uint8_t* const* bytes,
                const std::uint32_t* lengths) {
  for (std::size_t half = 0; half < 2; ++half) {
    __m256i row[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i) {
      const std::size_t at = half * 32 + 64 - lengths[i];
      const __m256i kept = _mm256_and_si256(load(bytes[i] + half * 32), load(kWindow.bytes + at));
      row[i] = _mm256_or_si256(kept, load(kPad.bytes + at));
    }
    transpose<Groups>(row, lanes.words + half * 8, group);
  }
  const __m256i length = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lengths));
  lanes.words[14][group] = _mm256_slli_epi32(length, 3);
}

template <std::size_t Groups>
void store_buckets(const Lanes<Groups>& lanes, std::size_t group, const BucketModulus& modulus,
                   std::int32_t* out) {
  alignas(32) std::uint32_t digest[4][kLanes];
  for (std::size_t s = 0; s < 4; ++s)
    _mm256_store_si256(reinterpret_cast<__m256i*>(digest[s]), lanes.state[s][group]);
  for (std::size_t i = 0; i < kLanes; ++i)
    out[i] = digest_mod(digest[0][i], digest[1][i], digest[2][i], digest[3][i], modulus);
}

template <std::size_t Groups>
void hash_short(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                const BucketModulus& modulus, std::int32_t* out) {
  Lanes<Groups> lanes;
  for (std::size_t group = 0; group < Groups; ++group)
    load_short(lanes, group, bytes + group * kLanes, lengths + group * kLanes);
  lanes.start();
  lanes.compress();
  for (std::size_t group = 0; group < Groups; ++group)
    store_buckets(lanes, group, modulus, out + group * kLanes);
}

// Up to eight messages, as many blocks as the longest needs; lanes that are done keep their state.
void hash_long(const std::uint8_t* const* bytes, const std::uint32_t* lengths, std::size_t n,
               const BucketModulus& modulus, std::int32_t* out) {
  LongMessage messages[kLanes];
  std::size_t most = 0;
  alignas(32) std::int32_t blocks[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) {
    if (i < n)
      messages[i].set(bytes[i], lengths[i]);
    else
      messages[i].clear();
    blocks[i] = static_cast<std::int32_t>(messages[i].blocks());
    most = std::max(most, messages[i].blocks());
  }
  const __m256i count = _mm256_load_si256(reinterpret_cast<const __m256i*>(blocks));
  Lanes<1> lanes;
  lanes.start();
  for (std::size_t block = 0; block < most; ++block) {
    for (std::size_t half = 0; half < 2; ++half) {
      __m256i row[kLanes];
      for (std::size_t i = 0; i < kLanes; ++i) row[i] = load(messages[i].block(block) + half * 32);
      transpose<1>(row, lanes.words + half * 8, 0);
    }
    const __m256i before[4] = {lanes.state[0][0], lanes.state[1][0], lanes.state[2][0],
                               lanes.state[3][0]};
    lanes.compress();
    const __m256i active = _mm256_cmpgt_epi32(count, _mm256_set1_epi32(static_cast<int>(block)));
    for (std::size_t s = 0; s < 4; ++s)
      lanes.state[s][0] = _mm256_blendv_epi8(before[s], lanes.state[s][0], active);
  }
  std::int32_t buckets[kLanes];
  store_buckets(lanes, 0, modulus, buckets);
  std::copy_n(buckets, n, out);
}

}  // namespace

void md5_bucket_short_avx2(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                           std::size_t n, const BucketModulus& modulus, std::int32_t* out) {
  std::size_t at = 0;
  for (; at + 2 * kLanes <= n; at += 2 * kLanes)
    hash_short<2>(bytes + at, lengths + at, modulus, out + at);
  for (; at + kLanes <= n; at += kLanes) hash_short<1>(bytes + at, lengths + at, modulus, out + at);
  if (at == n) return;
  const std::uint8_t* last_bytes[kLanes];
  std::uint32_t last_lengths[kLanes] = {};
  std::int32_t last_out[kLanes];
  std::fill_n(last_bytes, kLanes, kNoBlock);
  std::copy(bytes + at, bytes + n, last_bytes);
  std::copy(lengths + at, lengths + n, last_lengths);
  hash_short<1>(last_bytes, last_lengths, modulus, last_out);
  std::copy_n(last_out, n - at, out + at);
}

void md5_bucket_long_avx2(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                          std::size_t n, const BucketModulus& modulus, std::int32_t* out) {
  for (std::size_t at = 0; at < n; at += kLanes)
    hash_long(bytes + at, lengths + at, std::min(kLanes, n - at), modulus, out + at);
}

}  // namespace friesian::kernels
