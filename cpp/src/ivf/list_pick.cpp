#include "ivf/list_pick.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "common/bitmap.hpp"
#include "ivf/filter_bitmap.hpp"

namespace friesian {

void ListPicker::open(const IvfLayout& layout, const IvfSearchOptions& options) {
  layout_ = &layout;
  options_ = &options;
  coarse_dot_ = coarse_dot_kernel(options.level);
  select_ = select_kernels(options.level);
  counts_closed_ = false;
  if (options.ranks == nullptr || options.allowed_lists == nullptr) return;
  const std::span<const std::uint64_t> lists(options.allowed_lists, bitmap_words(layout.nlist()));
  counts_closed_ = bitmap_count(lists) < layout.nlist();
}

// In the order of the layout.
void ListPicker::pick(ProbedQuery& query) {
  const std::size_t nlist = layout_->nlist();
  const std::size_t blocks = (nlist + kCentroidBlock - 1) / kCentroidBlock;
  dots_.resize(blocks * kCentroidBlock);
  coarse_dot_(query.tables.codes(), layout_->part<std::int8_t>(IvfPart::centroids), blocks,
              centroid_groups(layout_->dim()), dots_.data());
  const std::span<std::int32_t> dots(dots_.data(), nlist);
  query.tables.order_lists(*layout_, dots);
  find_near_closed(dots);
  close_lists(dots);
  query.probes.clear();
  if (options_->margin > 0) {
    keep_near(dots, query);
  } else if (options_->nprobe == nlist) {
    for (std::size_t i = 0; i < nlist; ++i)
      query.probes.push_back({.list = static_cast<std::uint32_t>(i)});
  } else {
    shorten(dots);
    keep_best(dots, options_->nprobe, query.probes);
  }
  if (options_->allowed_lists != nullptr)
    std::erase_if(query.probes, [this](const Probe& probe) {
      return !bitmap_has(options_->allowed_lists, probe.list);
    });
  add_near_closed(dots, query.probes);
  place(query, dots);
}

// Of the nearest lists those without an allowed row: their rows count where ranks are asked for.
void ListPicker::find_near_closed(std::span<const std::int32_t> dots) {
  near_closed_.clear();
  near_dots_.clear();
  if (!counts_closed_) return;
  shorten(dots);
  keep_best(dots, layout_->depth().nprobe, near_closed_);
  std::erase_if(near_closed_, [this](const Probe& probe) {
    return bitmap_has(options_->allowed_lists, probe.list);
  });
  for (const Probe& probe : near_closed_) near_dots_.push_back(dots[probe.list]);
}

void ListPicker::add_near_closed(std::span<std::int32_t> dots, std::vector<Probe>& probes) const {
  if (near_closed_.empty()) return;
  for (std::size_t i = 0; i < near_closed_.size(); ++i) dots[near_closed_[i].list] = near_dots_[i];
  const auto open = static_cast<std::ptrdiff_t>(probes.size());
  probes.insert(probes.end(), near_closed_.begin(), near_closed_.end());
  std::inplace_merge(probes.begin(), probes.begin() + open, probes.end(),
                     [](const Probe& a, const Probe& b) { return a.list < b.list; });
}

// Lists without an allowed row come last, so that they take no other's place.
void ListPicker::close_lists(std::span<std::int32_t> dots) const {
  if (options_->allowed_lists == nullptr) return;
  for (std::size_t list = 0; list < dots.size(); ++list)
    if (!bitmap_has(options_->allowed_lists, list))
      dots[list] = std::numeric_limits<std::int32_t>::min();
}

// The upper bits of the dots pick out few, and only those are put in order.
void ListPicker::shorten(std::span<const std::int32_t> dots) {
  shift_ = 0;
  const auto most = static_cast<std::uint64_t>(layout_->dim()) * 127 * 127;
  while (most >> shift_ > 32767) ++shift_;
  grow(upper_, dots.size());
  for (std::size_t i = 0; i < dots.size(); ++i) upper_[i] = upper_bits(dots[i]);
  grow(hits_, dots.size() + kSelectSlack);
}

std::int16_t ListPicker::upper_bits(std::int32_t dot) const noexcept {
  return static_cast<std::int16_t>(std::clamp(dot >> shift_, -32767, 32767));
}

// Exactly `count` of them; equal ones by their number.
void ListPicker::keep_best(std::span<const std::int32_t> dots, std::size_t count,
                           std::vector<Probe>& probes) {
  const std::size_t found =
      select_best(select_, upper_.data(), dots.size(), count, scratch_, hits_.data());
  const std::span<const std::uint32_t> hits(hits_.data(), found);
  const auto key_of = [dots](std::uint32_t list) {
    return (static_cast<std::uint64_t>(std::int64_t{dots[list]} + (1LL << 31)) << 32) |
           static_cast<std::uint32_t>(~list);
  };
  keys_.clear();
  for (const std::uint32_t list : hits) keys_.push_back(key_of(list));
  const auto last = keys_.begin() + static_cast<std::ptrdiff_t>(count) - 1;
  std::nth_element(keys_.begin(), last, keys_.end(), std::greater<>());
  const std::uint64_t bound = *last;
  for (const std::uint32_t list : hits)
    if (key_of(list) >= bound) probes.push_back({.list = list});
}

// Those within the margin; the nprobe best of them when they are more.
void ListPicker::keep_near(std::span<const std::int32_t> dots, ProbedQuery& query) {
  shorten(dots);
  const std::int32_t least = query.tables.margin_end(lead(dots), options_->margin);
  const auto is_far = [&](const Probe& probe) { return dots[probe.list] < least; };
  if (select_.count(upper_.data(), dots.size(), upper_bits(least)) > options_->nprobe) {
    keep_best(dots, options_->nprobe, query.probes);
  } else {
    const std::size_t found =
        select_.select(upper_.data(), dots.size(), upper_bits(least), hits_.data());
    for (std::size_t i = 0; i < found; ++i) query.probes.push_back({.list = hits_[i]});
  }
  std::erase_if(query.probes, is_far);
}

// The mean of the best kLeaders.
double ListPicker::lead(std::span<const std::int32_t> dots) {
  const std::size_t leaders = std::min(kLeaders, dots.size());
  const std::size_t found =
      select_best(select_, upper_.data(), dots.size(), leaders, scratch_, hits_.data());
  best_dots_.clear();
  for (std::size_t i = 0; i < found; ++i) best_dots_.push_back(dots[hits_[i]]);
  const auto end = best_dots_.begin() + static_cast<std::ptrdiff_t>(leaders);
  std::partial_sort(best_dots_.begin(), end, best_dots_.end(), std::greater<>());
  return static_cast<double>(std::accumulate(best_dots_.begin(), end, std::int64_t{0})) /
         static_cast<double>(leaders);
}

// Where each list's rows and scores are, and what is added to its scores.
void ListPicker::place(ProbedQuery& query, std::span<const std::int32_t> dots) const {
  // Of the lists that may be answered: beside far better ones all others would have the least bias.
  std::int64_t best = std::numeric_limits<std::int32_t>::min();
  for (const Probe& probe : query.probes)
    if (near_closed_.empty() || bitmap_has(options_->allowed_lists, probe.list))
      best = std::max<std::int64_t>(best, dots[probe.list]);
  std::uint32_t slot = 0;
  for (Probe& probe : query.probes) {
    const std::size_t begin = layout_->list_begin(probe.list);
    probe.bias = query.tables.bias(std::max<std::int64_t>(best - dots[probe.list], 0));
    probe.slot = slot;
    probe.row = static_cast<std::uint32_t>(begin);
    probe.rows = static_cast<std::uint32_t>(layout_->list_begin(probe.list + 1) - begin);
    slot += static_cast<std::uint32_t>(code_blocks(probe.rows) * kCodeBlock);
  }
  query.slots = slot;
}

ProbedLists probed_lists(const IvfLayout& layout, const float* queries, std::size_t n,
                         const IvfSearchOptions& options) {
  check_search(layout, queries, n, options);
  ListPicker picker;
  picker.open(layout, options);
  ProbedLists out;
  ProbedQuery query;
  for (std::size_t i = 0; i < n; ++i) {
    query.tables.prepare(layout, queries + i * layout.dim());
    picker.pick(query);
    for (const Probe& probe : query.probes) out.lists.push_back(probe.list);
    out.ends.push_back(out.lists.size());
  }
  return out;
}

}  // namespace friesian
