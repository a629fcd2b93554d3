#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ivf/coarse_dot.hpp"
#include "ivf/ivf_layout.hpp"
#include "ivf/ivf_search.hpp"
#include "ivf/list_scan.hpp"
#include "ivf/select.hpp"

namespace friesian {

// A margin is counted from the mean of so many best centroids: the best alone may stand out.
inline constexpr std::size_t kLeaders = 4;

// Which lists a query probes: those whose centroids score best.
class ListPicker {
 public:
  // The layout and the options must outlive this.
  void open(const IvfLayout& layout, const IvfSearchOptions& options);

  // Sets the probes of a query whose tables are made.
  void pick(ProbedQuery& query);

 private:
  void find_near_closed(std::span<const std::int32_t> dots);
  void close_lists(std::span<std::int32_t> dots) const;
  void add_near_closed(std::span<std::int32_t> dots, std::vector<Probe>& probes) const;
  void shorten(std::span<const std::int32_t> dots);
  [[nodiscard]] std::int16_t upper_bits(std::int32_t dot) const noexcept;
  void keep_best(std::span<const std::int32_t> dots, std::size_t count, std::vector<Probe>& probes);
  void keep_near(std::span<const std::int32_t> dots, ProbedQuery& query);
  [[nodiscard]] double lead(std::span<const std::int32_t> dots);
  void place(ProbedQuery& query, std::span<const std::int32_t> dots) const;

  const IvfLayout* layout_ = nullptr;
  const IvfSearchOptions* options_ = nullptr;
  kernels::CoarseDot* coarse_dot_ = nullptr;
  bool counts_closed_ = false;  // whether near lists are scanned that hold nothing allowed
  SelectKernels select_{};
  unsigned shift_ = 0;
  std::vector<std::int32_t> dots_, best_dots_, near_dots_;
  std::vector<Probe> near_closed_;
  std::vector<std::int16_t> upper_, scratch_;
  std::vector<std::uint32_t> hits_;
  std::vector<std::uint64_t> keys_;
};

// The lists that queries probe, query after query: those of query i are
// lists[ends[i - 1]...ends[i]).
struct ProbedLists {
  std::vector<std::uint64_t> ends;
  std::vector<std::uint32_t> lists;
};
[[nodiscard]] ProbedLists probed_lists(const IvfLayout& layout, const float* queries, std::size_t n,
                                       const IvfSearchOptions& options);

}  // namespace friesian
