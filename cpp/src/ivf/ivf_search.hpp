#pragma once
#include <cstddef>
#include <cstdint>

#include "ivf/ivf_layout.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

class ExactScan;

inline constexpr std::uint32_t kNoPosition = 0xFFFFFFFF;

// What a search asks for beside its queries.
struct IvfSearchOptions {
  std::size_t k;
  std::size_t nprobe;  // lists probed, in [1, nlist]; nlist compares every row and is exact
  // Of these, lists that lie more than this beyond the mean of the best four are left out: a
  // length, in the unit of the vectors; see QueryTables::margin_end. Finite; 0 leaves out none, and
  // so must a filter.
  float margin = 0;
  // Candidates of the coarse codes that are compared again by their rows; 0: what tuning stored.
  std::size_t rerank = 0;
  // Positions that may be answered: bit p % 64 of word p / 64, (size() + 63) / 64 words. Null: all.
  const std::uint64_t* allowed = nullptr;
  // Words between the bitmaps of two queries; 0 when all queries share one.
  std::size_t allowed_stride = 0;
  // Lists that hold an allowed position, one bit each, so that others are not probed. Null:
  // unknown.
  const std::uint64_t* allowed_lists = nullptr;
  // Null, or for each query: how many of the rows scanned have codes as good as the `rank_of`-th
  // best allowed one's, those that are not allowed counted; kNoPosition where fewer are compared.
  // For that the lists nearest to a query, as many as tuning stored, are scanned whatever is
  // allowed in them. Not touched by a search that compares every row.
  std::uint32_t* ranks = nullptr;
  std::size_t rank_of = 1;
  // Of this layout: what a search of every row takes instead of comparing each. Null: none.
  const ExactScan* exact = nullptr;
  std::size_t threads = 1;
  SimdLevel level = SimdLevel::scalar;
};

// Throws InvalidInput for a query that check_query_values refuses, k < 1, nprobe outside [1,
// nlist], or a margin that is out of range or goes with allowed_lists.
void check_search(const IvfLayout& layout, const float* queries, std::size_t n,
                  const IvfSearchOptions& options);

// The best k vectors of the `nprobe` lists nearest to each of n queries: positions in the layout,
// best score first, equal scores by position; what is missing is kNoPosition and -infinity. Reads
// the layout only, so many threads may search it at once. Throws as check_search.
void ivf_search(const IvfLayout& layout, const float* queries, std::size_t n,
                const IvfSearchOptions& options, std::uint32_t* positions, float* scores);

}  // namespace friesian
