#include <algorithm>
#include <cmath>
#include <functional>

#include "check.hpp"
#include "ivf/coarse_dot.hpp"
#include "ivf/fast_scan.hpp"
#include "ivf/half.hpp"
#include "ivf/half_rows.hpp"
#include "ivf/ivf_layout.hpp"
#include "ivf/select.hpp"
#include "levels_and_numbers.hpp"

using namespace friesian;

namespace {

// Every allocation is of exactly the size, so a read past a tail is seen.
void half_rows_every_tail() {
  for (const SimdLevel level : runnable_levels())
    for (std::size_t dim = 1; dim <= 40; ++dim)
      for (const std::size_t n : {0, 1, 2, 20}) {
        const std::vector<float> query = random_floats(dim), values = random_floats(7 * dim);
        std::vector<std::uint16_t> rows(values.size());
        std::ranges::transform(values, rows.begin(), float_to_half);
        const auto positions = random_integers<std::uint32_t>(n, 0, 6);
        for (const Metric metric : {Metric::ip, Metric::l2}) {
          std::vector<float> scores(n);
          half_rows_kernel(metric, level)(query.data(), rows.data(), dim, positions.data(), n,
                                          scores.data());
          for (std::size_t i = 0; i < n; ++i) {
            double want = 0;
            for (std::size_t j = 0; j < dim; ++j) {
              const double a = double{query[j]};
              const double b = double{half_to_float(rows[positions[i] * dim + j])};
              want += metric == Metric::l2 ? -(a - b) * (a - b) : a * b;
            }
            CHECK(std::fabs(want - double{scores[i]}) < 1e-4 * (1 + std::fabs(want)));
          }
        }
      }
}

// Terms that are all rounded the same way, as far from the true sum as they get.
void half_rows_stay_within_the_bound() {
  for (const SimdLevel level : runnable_levels())
    for (const std::size_t dim : {1u, 7u, 700u, 2048u, kMaxIvfDim})
      for (const float value : {1.0f, 1 / 3.0f, 0.1f, 1e-30f, 1e-44f}) {
        const std::vector<float> query(dim, value);
        const std::vector<std::uint16_t> row(dim, float_to_half(1.0f + 0x1p-10f));
        const std::uint32_t position = 0;
        float score = 0;
        half_rows_kernel(Metric::ip, level)(query.data(), row.data(), dim, &position, 1, &score);
        const double terms = static_cast<double>(dim),
                     norms = terms * double{value} * (1 + 0x1p-10);
        CHECK(std::fabs(norms - double{score}) <= half_rows_rounding(dim, norms));
      }
}

void half_precision_both_ways() {
  for (std::uint32_t half = 0; half < 65536; ++half) {
    const float value = half_to_float(static_cast<std::uint16_t>(half));
    if (!std::isnan(value)) CHECK(float_to_half(value) == half);
    // Halfway to the next one: to the even one of the two.
    if (half % 0x8000 >= 0x7BFF) continue;
    const float next = half_to_float(static_cast<std::uint16_t>(half + 1));
    CHECK(float_to_half((value + next) / 2) == half + half % 2);
    CHECK(float_to_half(std::nextafter((value + next) / 2, next)) == half + 1);
  }
  CHECK(half_to_float(0x3C00) == 1.0f && half_to_float(0x0001) == std::ldexp(1.0f, -24));
  CHECK(float_to_half(65520.0f) == 0x7C00 && float_to_half(65519.0f) == 0x7BFF);
  CHECK(std::isnan(half_to_float(float_to_half(std::nanf("")))));
}

void coarse_dot_is_the_sum() {
  for (const SimdLevel level : runnable_levels())
    for (const std::size_t groups : {1, 2, 5, 33})
      for (const std::size_t blocks : {0, 1, 3, 4, 5, 9}) {
        const int most = blocks == 4 ? 127 : 5;  // the largest products must not saturate
        auto query = random_integers<std::int8_t>(groups * 4, -most, most);
        auto codes = random_integers<std::int8_t>(blocks * groups * 64, -most, most);
        if (blocks == 5) {
          std::ranges::fill(query, std::int8_t{-127});
          std::ranges::fill(codes, std::int8_t{127});
        }
        std::vector<std::int32_t> got(blocks * 16);
        coarse_dot_kernel(level)(query.data(), codes.data(), blocks, groups, got.data());
        for (std::size_t c = 0; c < blocks * 16; ++c) {
          std::int32_t want = 0;
          for (std::size_t j = 0; j < groups * 4; ++j)
            want += query[j] * codes[((c / 16 * groups + j / 4) * 16 + c % 16) * 4 + j % 4];
          CHECK(got[c] == want);
        }
      }
}

// Against the definition, row by row; and at the ends of the range of every number.
void fast_scan_is_the_sum() {
  for (const SimdLevel level : runnable_levels())
    for (const std::size_t quads : {1, 2, 9, 16})
      for (const std::size_t blocks : {0, 1, 3, 4, 9})
        for (int turn = 0; turn < 4; ++turn) {
          std::vector<std::uint8_t> tables(quads * kQuadTableBytes);
          for (std::size_t part = 0; part < tables.size(); part += 32) {
            const auto table = random_integers<std::uint8_t>(16, turn == 1 ? 127 : 0, 127);
            for (std::size_t i = 0; i < 32; ++i) tables[part + i] = table[i % 16];
          }
          const auto codes = random_integers<std::uint8_t>(blocks * quads * 64, 0, 255);
          const auto norms = random_integers<std::int16_t>(blocks * 32, -32767, 32767);
          const auto bias = static_cast<std::int16_t>(turn == 0 ? -100 : turn == 1 ? 0 : -32000);
          const FastScanList list{tables.data(), quads, bias, 16000};
          for (const bool with_norms : {false, true}) {
            std::vector<std::int16_t> got(blocks * 32);
            fast_scan_kernel(level)(list, codes.data(), with_norms ? norms.data() : nullptr, blocks,
                                    codes.data(), got.data());
            for (std::size_t v = 0; v < got.size(); ++v) {
              std::int32_t want = bias;
              for (std::size_t m = 0; m < quads * 4; ++m) {
                const std::uint8_t both =
                    codes[(v / 32 * quads + m / 4) * 64 + m % 4 / 2 * 32 + v % 32];
                want += tables[m / 4 * kQuadTableBytes + m % 2 * 64 + m % 4 / 2 * 32 +
                               (m % 2 == 0 ? both & 15 : both >> 4)];
              }
              if (with_norms)
                want -= static_cast<std::int32_t>(std::floor(norms[v] * 16000 / 32768.0 + 0.5));
              CHECK(got[v] == std::clamp(want, -32767, 32767));
            }
          }
        }
}

// Found by way of the largest of groups or not, the best are those that reach the wanted-th score.
void check_best(const SelectKernels& kernels, const std::vector<std::int16_t>& scores,
                std::size_t wanted) {
  std::vector<std::int16_t> scratch;
  std::vector<std::uint32_t> want(scores.size() + kSelectSlack), got(want);
  const std::int16_t least = nth_largest(kernels, scores.data(), scores.size(), wanted);
  want.resize(kernels.select(scores.data(), scores.size(), least, want.data()));
  got.resize(select_best(kernels, scores.data(), scores.size(), wanted, scratch, got.data()));
  CHECK(got == want);
}

void select_every_tail() {
  for (const SimdLevel level : runnable_levels())
    for (std::size_t n = 0; n <= 140; ++n)
      for (const int range : {3, 32767}) {
        const auto scores = random_integers<std::int16_t>(n, -range - 1, range);
        const SelectKernels kernels = select_kernels(level);
        const auto least = static_cast<std::int16_t>(range / 3);
        std::vector<std::uint32_t> want, got(n + kSelectSlack);
        for (std::uint32_t i = 0; i < n; ++i)
          if (scores[i] >= least) want.push_back(i);
        got.resize(kernels.select(scores.data(), n, least, got.data()));
        CHECK(got == want);
        CHECK(kernels.count(scores.data(), n, least) == want.size());
        std::vector<std::int16_t> sorted(scores);
        std::ranges::sort(sorted, std::greater<>());
        for (const std::size_t wanted : {std::size_t{1}, n / 2, n, n + 1}) {
          if (wanted == 0) continue;
          const int nth = wanted <= n ? sorted[wanted - 1] : kNoScore;
          CHECK(nth_largest(kernels, scores.data(), n, wanted) == std::max(nth, -32767));
          check_best(kernels, scores, wanted);
        }
      }
}

// More scores than a 16-bit lane can count.
void count_beyond_a_lane() {
  const std::vector<std::int16_t> scores(16 * 65535 * 2 + 5, 7);
  for (const SimdLevel level : runnable_levels()) {
    CHECK(select_kernels(level).count(scores.data(), scores.size(), 7) == scores.size());
    CHECK(select_kernels(level).count(scores.data(), scores.size(), 8) == 0);
  }
}

}  // namespace

void test_ivf_kernels() {
  half_precision_both_ways();
  half_rows_every_tail();
  half_rows_stay_within_the_bound();
  coarse_dot_is_the_sum();
  fast_scan_is_the_sum();
  select_every_tail();
  for (const SimdLevel level : runnable_levels())
    for (const std::size_t n : {1000, 4099}) {
      auto scores = random_integers<std::int16_t>(n, -32768, n == 1000 ? -32000 : 32767);
      for (std::size_t i = 0; i < n; i += 3) scores[i] = -32768;
      for (const std::size_t wanted : {1, 7, 60, 200, 1000})
        check_best(select_kernels(level), scores, wanted);
      std::ranges::fill(scores, std::int16_t{-32768});
      check_best(select_kernels(level), scores, 5);
    }
  count_beyond_a_lane();
}
