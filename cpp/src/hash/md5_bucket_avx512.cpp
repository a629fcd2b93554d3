#include <immintrin.h>

#include <algorithm>

#include "hash/md5_bucket_kernels.hpp"
#include "hash/md5_long_message.hpp"
#include "hash/md5_rounds.hpp"

namespace friesian::kernels {

namespace {

struct U32x16 {
  using Vector = __m512i;
  static Vector splat(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  static Vector add(Vector x, Vector y) { return _mm512_add_epi32(x, y); }
  template <int N>
  static Vector rotate(Vector x) {
    return _mm512_rol_epi32(x, N);
  }
  // Bit (4x + 2y + z) of the constant is the function's value: MD5's four functions, one
  // instruction each.
  static Vector f(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi32(x, y, z, 0xca); }
  static Vector g(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi32(x, y, z, 0xe4); }
  static Vector h(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi32(x, y, z, 0x96); }
  static Vector i(Vector x, Vector y, Vector z) { return _mm512_ternarylogic_epi32(x, y, z, 0x39); }
};

constexpr std::size_t kLanes = 16;

template <std::size_t Groups>
using Lanes = Md5Lanes<U32x16, Groups>;

// Sixteen rows of sixteen words become sixteen words of sixteen lanes.
template <std::size_t Groups>
[[gnu::always_inline]] inline void transpose(__m512i (&row)[16], __m512i (&words)[16][Groups],
                                             std::size_t group) {
  __m512i pairs[16];
  for (std::size_t i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
  // row[4r + w]: word w of rows 4r..4r+3, once per 128-bit lane.
  for (std::size_t i = 0; i < 16; i += 4) {
    row[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
    row[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
    row[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    row[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  for (std::size_t w = 0; w < 4; ++w) {
    const __m512i low_01 = _mm512_shuffle_i32x4(row[w], row[w + 4], 0x88);
    const __m512i high_01 = _mm512_shuffle_i32x4(row[w], row[w + 4], 0xdd);
    const __m512i low_23 = _mm512_shuffle_i32x4(row[w + 8], row[w + 12], 0x88);
    const __m512i high_23 = _mm512_shuffle_i32x4(row[w + 8], row[w + 12], 0xdd);
    words[w][group] = _mm512_shuffle_i32x4(low_01, low_23, 0x88);
    words[w + 4][group] = _mm512_shuffle_i32x4(high_01, high_23, 0x88);
    words[w + 8][group] = _mm512_shuffle_i32x4(low_01, low_23, 0xdd);
    words[w + 12][group] = _mm512_shuffle_i32x4(high_01, high_23, 0xdd);
  }
}

template <std::size_t Groups>
[[gnu::always_inline]] inline void load_short(Lanes<Groups>& lanes, std::size_t group,
                                              const std::uint8_t* const* bytes,
                                              const std::uint32_t* lengths) {
  const __m512i pad = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i row[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) {
    const __mmask64 kept = _bzhi_u64(~std::uint64_t{0}, lengths[i]);
    const __m512i message = _mm512_maskz_loadu_epi8(kept, bytes[i]);
    row[i] = _mm512_mask_mov_epi8(message, kept + 1, pad);
  }
  transpose<Groups>(row, lanes.words, group);
  lanes.words[14][group] = _mm512_slli_epi32(_mm512_loadu_si512(lengths), 3);
}

// x modulo the bins, for x under 2^64, by two rounded reciprocal products: the first leaves at most
// bins / 2 + 2^13, the second at most bins / 2, either sign.
[[gnu::always_inline]] inline __m512i reduce_u64x8(__m512i x, __m512i bins, __m512d reciprocal) {
  const __m512i first = _mm512_cvtpd_epu64(_mm512_mul_pd(_mm512_cvtepu64_pd(x), reciprocal));
  const __m512i near = _mm512_sub_epi64(x, _mm512_mullo_epi64(first, bins));
  const __m512i second = _mm512_cvtpd_epi64(_mm512_mul_pd(_mm512_cvtepi64_pd(near), reciprocal));
  const __m512i rest = _mm512_sub_epi64(near, _mm512_mullo_epi64(second, bins));
  return _mm512_mask_add_epi64(rest, _mm512_movepi64_mask(rest), rest, bins);
}

// digest[0..3] hold, in the low half of each 64-bit lane, the digest's four big-endian words.
[[gnu::always_inline]] inline __m512i digest_mod_u64x8(const __m512i (&digest)[4],
                                                       const BucketModulus& modulus) {
  const auto splat = [](std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); };
  const __m512i low_half = splat(0xffffffff), power1 = splat(modulus.power1);
  const __m512i high = _mm512_add_epi64(_mm512_mul_epu32(digest[0], splat(modulus.power3)),
                                        _mm512_mul_epu32(digest[1], splat(modulus.power2)));
  const __m512i folded = _mm512_add_epi64(_mm512_mul_epu32(_mm512_srli_epi64(high, 32), power1),
                                          _mm512_and_si512(high, low_half));
  const __m512i low =
      _mm512_add_epi64(_mm512_mul_epu32(digest[2], power1), _mm512_and_si512(digest[3], low_half));
  return reduce_u64x8(_mm512_add_epi64(folded, low), splat(modulus.bins),
                      _mm512_set1_pd(modulus.reciprocal));
}

template <std::size_t Groups>
[[gnu::always_inline]] inline __m512i buckets_of(const Lanes<Groups>& lanes, std::size_t group,
                                                 const BucketModulus& modulus) {
  const __m512i swap =
      _mm512_broadcast_i32x4(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
  __m512i even[4], odd[4];
  for (std::size_t s = 0; s < 4; ++s) {
    even[s] = _mm512_shuffle_epi8(lanes.state[s][group], swap);
    odd[s] = _mm512_srli_epi64(even[s], 32);
  }
  const __m512i even_rest = digest_mod_u64x8(even, modulus);
  const __m512i odd_rest = digest_mod_u64x8(odd, modulus);
  return _mm512_or_si512(even_rest, _mm512_slli_epi64(odd_rest, 32));
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
    _mm512_storeu_si512(out + group * kLanes, buckets_of(lanes, group, modulus));
}

// Block `block` of sixteen messages of any length. Past a message's end its rows are zeros, and its
// address may point beyond what can be read: the mask keeps the load off.
template <std::size_t Groups>
[[gnu::always_inline]] inline void load_block(Lanes<Groups>& lanes, std::size_t group,
                                              const std::uint8_t* const* bytes,
                                              const std::uint32_t* lengths, std::int64_t block) {
  const __m512i pad = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i row[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) {
    const std::int64_t left = static_cast<std::int64_t>(lengths[i]) - block * 64;
    const auto size = static_cast<unsigned>(std::clamp<std::int64_t>(left, 0, 64));
    const __mmask64 kept = _bzhi_u64(~std::uint64_t{0}, size);
    const __mmask64 end = left >= 0 && left < 64 ? kept + 1 : 0;
    const std::uint8_t* from = size == 0 ? kNoBlock : bytes[i] + block * 64;
    row[i] = _mm512_mask_mov_epi8(_mm512_maskz_loadu_epi8(kept, from), end, pad);
  }
  transpose<Groups>(row, lanes.words, group);
}

// 16 * Groups messages, as many blocks as the longest needs; lanes that are done keep their state.
template <std::size_t Groups>
void hash_long(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
               const BucketModulus& modulus, std::int32_t* out) {
  const std::uint32_t longest = *std::max_element(lengths, lengths + Groups * kLanes);
  const std::int64_t blocks = (std::int64_t{longest} + 8) / 64 + 1;
  Lanes<Groups> lanes;
  lanes.start();
  for (std::int64_t block = 0; block < blocks; ++block) {
    __m512i before[4][Groups];
    __mmask16 active[Groups];
    for (std::size_t group = 0; group < Groups; ++group) {
      load_block(lanes, group, bytes + group * kLanes, lengths + group * kLanes, block);
      const __m512i length = _mm512_loadu_si512(lengths + group * kLanes);
      // floor((length + 8) / 64), which does not overflow.
      const __m512i last = _mm512_add_epi32(
          _mm512_srli_epi32(length, 6),
          _mm512_srli_epi32(
              _mm512_add_epi32(_mm512_and_si512(length, U32x16::splat(63)), U32x16::splat(8)), 6));
      const __m512i now = U32x16::splat(static_cast<std::uint32_t>(block));
      const __mmask16 ends = _mm512_cmpeq_epu32_mask(last, now);
      active[group] = _mm512_cmpge_epu32_mask(last, now);
      lanes.words[14][group] = _mm512_mask_slli_epi32(lanes.words[14][group], ends, length, 3);
      lanes.words[15][group] = _mm512_mask_srli_epi32(lanes.words[15][group], ends, length, 29);
      for (std::size_t s = 0; s < 4; ++s) before[s][group] = lanes.state[s][group];
    }
    lanes.compress();
    for (std::size_t group = 0; group < Groups; ++group)
      for (std::size_t s = 0; s < 4; ++s)
        lanes.state[s][group] =
            _mm512_mask_mov_epi32(before[s][group], active[group], lanes.state[s][group]);
  }
  for (std::size_t group = 0; group < Groups; ++group)
    _mm512_storeu_si512(out + group * kLanes, buckets_of(lanes, group, modulus));
}

using HashLanes = void(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                       const BucketModulus& modulus, std::int32_t* out);

// Fewer than sixteen messages: the other lanes hash nothing.
void hash_rest(HashLanes* hash, const std::uint8_t* const* bytes, const std::uint32_t* lengths,
               std::size_t n, const BucketModulus& modulus, std::int32_t* out) {
  const std::uint8_t* all_bytes[kLanes];
  std::uint32_t all_lengths[kLanes] = {};
  std::int32_t buckets[kLanes];
  std::fill_n(all_bytes, kLanes, kNoBlock);
  std::copy_n(bytes, n, all_bytes);
  std::copy_n(lengths, n, all_lengths);
  hash(all_bytes, all_lengths, modulus, buckets);
  std::copy_n(buckets, n, out);
}

}  // namespace

void md5_bucket_short_avx512(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                             std::size_t n, const BucketModulus& modulus, std::int32_t* out) {
  std::size_t at = 0;
  for (; at + 4 * kLanes <= n; at += 4 * kLanes)
    hash_short<4>(bytes + at, lengths + at, modulus, out + at);
  for (; at + kLanes <= n; at += kLanes) hash_short<1>(bytes + at, lengths + at, modulus, out + at);
  if (at < n) hash_rest(hash_short<1>, bytes + at, lengths + at, n - at, modulus, out + at);
}

void md5_bucket_long_avx512(const std::uint8_t* const* bytes, const std::uint32_t* lengths,
                            std::size_t n, const BucketModulus& modulus, std::int32_t* out) {
  std::size_t at = 0;
  for (; at + 2 * kLanes <= n; at += 2 * kLanes)
    hash_long<2>(bytes + at, lengths + at, modulus, out + at);
  for (; at + kLanes <= n; at += kLanes) hash_long<1>(bytes + at, lengths + at, modulus, out + at);
  if (at < n) hash_rest(hash_long<1>, bytes + at, lengths + at, n - at, modulus, out + at);
}

}  // namespace friesian::kernels
