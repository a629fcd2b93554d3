#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ivf/fast_scan.hpp"
#include "ivf/ivf_layout.hpp"
#include "ivf/query_tables.hpp"
#include "simd/simd_level.hpp"

namespace friesian {

// Room for n values, whatever they are: a buffer that shrank would be filled with zeros again.
template <typename T>
void grow(std::vector<T>& buffer, std::size_t n) {
  if (buffer.size() < n) buffer.resize(n);
}

// A probed list: its rows, and where its scores begin.
struct Probe {
  std::uint32_t list;
  std::uint32_t slot = 0;
  std::int16_t bias = 0;
  std::uint32_t row = 0;
  std::uint32_t rows = 0;
};

// A query, the lists it probes in the order of the layout, and the scores of their codes.
struct ProbedQuery {
  QueryTables tables;
  std::vector<Probe> probes;
  std::size_t slots = 0;
  std::vector<std::int16_t> scores;  // at least `slots`; kNoScore behind a list's last row
};

// Scores the codes of all lists that some queries probe. A list's codes come from memory once for
// all queries that probe it, so a batch costs less than its queries one after the other.
class ListScan {
 public:
  // The layout must outlive this.
  void open(const IvfLayout& layout, SimdLevel level);
  void scan(std::span<ProbedQuery> queries);

 private:
  // A list that is probed, and by whom: entries of askers_.
  struct Shared {
    std::uint32_t list;
    std::uint32_t first;
    std::uint32_t end;
  };
  struct Asker {
    std::uint32_t query;
    std::uint32_t probe;
  };
  // Consecutive blocks of one list.
  struct Turn {
    std::uint32_t block;
    std::uint32_t blocks;
    std::uint32_t shared;
    std::uint32_t row;  // of the list
  };

  void share_lists(std::span<const ProbedQuery> queries);
  void plan_turns();

  const IvfLayout* layout_ = nullptr;
  kernels::FastScan* fast_scan_ = nullptr;
  std::vector<std::uint32_t> next_;  // by list
  std::vector<Shared> shared_;
  std::vector<Asker> askers_;
  std::vector<Turn> turns_;
};

// Writes the scores of a query to `out`, kNoScore for rows that are not allowed.
void close_rows(const ProbedQuery& query, const std::uint64_t* allowed, std::int16_t* out);

}  // namespace friesian
