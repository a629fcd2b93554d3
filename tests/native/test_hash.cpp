#include <string>
#include <vector>

#include "check.hpp"
#include "common/bytes_hash.hpp"
#include "cross/cross_bucket.hpp"
#include "hash/md5_bucket.hpp"
#include "hash/xxh3_bucket.hpp"

using namespace friesian;

namespace {

// Strings in buffers of exactly their size, on the heap: a read past either end is seen.
struct Strings {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> offsets{0};

  void add(std::uint64_t length) {
    for (std::uint64_t i = 0; i < length; ++i)
      bytes.push_back(static_cast<std::uint8_t>(random_below(256)));
    offsets.push_back(static_cast<std::int32_t>(bytes.size()));
  }

  void add(const std::string& text) {
    bytes.insert(bytes.end(), text.begin(), text.end());
    offsets.push_back(static_cast<std::int32_t>(bytes.size()));
  }

  [[nodiscard]] Column column() {
    bytes.shrink_to_fit();
    offsets.shrink_to_fit();
    Column column;
    column.values = bytes.data();
    column.offsets = offsets.data();
    column.length = offsets.size() - 1;
    return column;
  }
};

using Hash = void (*)(const Column&, std::span<std::int32_t>, SimdLevel);

constexpr std::uint32_t kBins = 0x7fffffff;

void hash_values(const Column& column, std::span<std::int32_t> out, SimdLevel level) {
  md5_bucket(column, kBins, out, level);
}

void hash_crosses(const Column& column, std::span<std::int32_t> out, SimdLevel level) {
  const Column columns[] = {column, column, column};
  cross_bucket(columns, "-", TextHash::md5, kBins, out, level);
}

void hash_values_xxh3(const Column& column, std::span<std::int32_t> out, SimdLevel) {
  xxh3_bucket(column, kBins, out);
}

void hash_crosses_xxh3(const Column& column, std::span<std::int32_t> out, SimdLevel level) {
  const Column columns[] = {column, column, column};
  cross_bucket(columns, "-", TextHash::xxh3, kBins, out, level);
}

// Every level gives what the scalar one gives, with the output in a buffer of exactly its size.
void check_levels(const Column& column, Hash hash) {
  std::vector<std::int32_t> want(column.length);
  hash(column, want, SimdLevel::scalar);
  const auto best = static_cast<int>(detect_simd_level());
  for (int level = 1; level <= best; ++level) {
    std::vector<std::int32_t> got(column.length);
    hash(column, got, static_cast<SimdLevel>(level));
    CHECK(got == want);
  }
}

void known_answers() {
  Strings strings;
  for (const char* text : {"", "a", "abc"}) strings.add(std::string(text));
  std::vector<std::int32_t> out(3);
  md5_bucket(strings.column(), 1000, out, SimdLevel::scalar);
  // RFC 1321's digests d41d8cd9..., 0cc175b9..., 90015098... modulo 1000.
  CHECK((out == std::vector<std::int32_t>{366, 497, 570}));
  xxh3_bucket(strings.column(), kBins, out);
  // XXH3's 64-bit hashes 2d06800538d394c2, e6c632b61e964e1f, 78af5f94892f3950 modulo 2^31 - 1.
  CHECK((out == std::vector<std::int32_t>{316708045, 1814213518, 2056124538}));
}

// The definition of hash_bytes, word by word; files rest on it.
std::uint64_t slow_hash(const Bytes& bytes) {
  std::uint64_t state = 0x9E3779B97F4A7C15;
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint64_t word = 0;
    for (std::size_t j = i; j < bytes.size() && j < i + 8; ++j)
      word |= std::uint64_t{bytes[j]} << (8 * (j - i));
    state = (state ^ word) * 0xD6E8FEB86659FD93;
    state ^= state >> 32;
  }
  return mix64(state ^ bytes.size());
}

void bytes_of_every_length() {
  CHECK(mix64(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF);  // SplitMix64's first output
  for (std::size_t size = 0; size < 70; ++size) {
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<unsigned char>(random_below(256));
    CHECK(hash_bytes(bytes.data(), bytes.size()) == slow_hash(bytes));
  }
}

void random_lengths(std::uint64_t longest) {
  for (std::size_t rows : {0u, 1u, 15u, 16u, 17u, 63u, 64u, 65u, 600u}) {
    Strings strings;
    for (std::size_t i = 0; i < rows; ++i) strings.add(random_below(longest + 1));
    const Column whole = strings.column();
    for (const Column& column : {whole, whole.slice(rows / 3, rows / 2)}) {
      check_levels(column, hash_values);
      check_levels(column, hash_crosses);
      check_levels(column, hash_values_xxh3);
      check_levels(column, hash_crosses_xxh3);
    }
  }
}

}  // namespace

void test_hash() {
  known_answers();
  bytes_of_every_length();
  for (const std::uint64_t longest : {0, 1, 20, 55, 64, 130, 1500}) random_lengths(longest);
}
