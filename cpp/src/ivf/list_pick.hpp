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
  void keep_best(std::span<const std::int32_t> dots, std::size_t count, std::vector<Probe>& probes);
  void place(ProbedQuery& query, std::span<const std::int32_t> dots) const;

  const IvfLayout* layout_ = nullptr;
  const IvfSearchOptions* options_ = nullptr;
  kernels::CoarseDot* coarse_dot_ = nullptr;
  bool counts_closed_ = false;  // whether near lists are scanned that hold nothing allowed
  SelectKernels select_{};
  std::vector<std::int32_t> dots_, near_dots_;
  std::vector<Probe> near_closed_;
  std::vector<std::int16_t> upper_, scratch_;
  std::vector<std::uint32_t> hits_;
  std::vector<std::uint64_t> keys_;
};

}  // namespace friesian
