#include "ivf/list_scan.hpp"

#include <algorithm>
#include <array>

#include "common/bitmap.hpp"
#include "common/bytes.hpp"

namespace friesian {

namespace {

constexpr std::size_t kBlocksPerTurn = 4;
// Turns between fetching codes and scanning them: about 8 KB of 128 dimensions.
constexpr std::size_t kTurnsAhead = 2;

// For each byte of a bitmap, eight 16-bit masks.
constexpr auto kMasks = [] {
  std::array<std::array<std::int16_t, 8>, 256> masks{};
  for (std::size_t byte = 0; byte < masks.size(); ++byte)
    for (std::size_t bit = 0; bit < 8; ++bit) masks[byte][bit] = (byte >> bit) & 1 ? -1 : 0;
  return masks;
}();

using Eight [[gnu::vector_size(16)]] = std::int16_t;

// The scores of rows [first, first + n); kNoScore for those that are not allowed.
void close_scores(const std::uint64_t* allowed, std::size_t first, std::size_t n,
                  const std::int16_t* scores, std::int16_t* out) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(allowed);
  std::size_t i = 0;
  for (; i + 16 <= n; i += 8) {  // so the byte behind is of these rows as well
    const std::size_t at = first + i;
    const auto bits = static_cast<std::uint8_t>(load<std::uint16_t>(bytes + at / 8) >> (at % 8));
    const auto mask = load<Eight>(kMasks[bits].data());
    store(out + i, (load<Eight>(scores + i) & mask) | (~mask & kNoScore));
  }
  for (; i < n; ++i) out[i] = bitmap_has(allowed, first + i) ? scores[i] : kNoScore;
}

}  // namespace

void ListScan::open(const IvfLayout& layout, SimdLevel level) {
  layout_ = &layout;
  fast_scan_ = fast_scan_kernel(level);
}

// Who probes which list, list after list: sorted by counting.
void ListScan::share_lists(std::span<const ProbedQuery> queries) {
  shared_.clear();
  askers_.clear();
  if (queries.size() == 1) {
    for (std::uint32_t p = 0; p < queries[0].probes.size(); ++p) {
      shared_.push_back({queries[0].probes[p].list, p, p + 1});
      askers_.push_back({0, p});
    }
    return;
  }
  next_.assign(layout_->nlist(), 0);
  for (const ProbedQuery& query : queries)
    for (const Probe& probe : query.probes) ++next_[probe.list];
  std::uint32_t askers = 0;
  for (std::uint32_t list = 0; list < next_.size(); ++list) {
    const std::uint32_t count = next_[list];
    if (count == 0) continue;
    shared_.push_back({list, askers, askers + count});
    next_[list] = askers;
    askers += count;
  }
  askers_.resize(askers);
  for (std::uint32_t q = 0; q < queries.size(); ++q)
    for (std::uint32_t p = 0; p < queries[q].probes.size(); ++p)
      askers_[next_[queries[q].probes[p].list]++] = {q, p};
}

void ListScan::plan_turns() {
  turns_.clear();
  for (std::uint32_t i = 0; i < shared_.size(); ++i) {
    const std::uint32_t list = shared_[i].list;
    const std::size_t begin = layout_->block_begin(list);
    const std::size_t end = layout_->block_begin(list + 1);
    for (std::size_t at = begin; at < end; at += kBlocksPerTurn)
      turns_.push_back({static_cast<std::uint32_t>(at),
                        static_cast<std::uint32_t>(std::min(kBlocksPerTurn, end - at)), i,
                        static_cast<std::uint32_t>((at - begin) * kCodeBlock)});
  }
}

void ListScan::scan(std::span<ProbedQuery> queries) {
  share_lists(queries);
  plan_turns();
  for (ProbedQuery& query : queries) grow(query.scores, query.slots);
  const auto* codes = layout_->part<std::uint8_t>(IvfPart::codes);
  const auto* norms =
      layout_->metric() == Metric::l2 ? layout_->part<std::int16_t>(IvfPart::row_norms) : nullptr;
  const std::size_t bytes = block_bytes(layout_->dim()), quads = code_quads(layout_->dim());
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    const Turn& turn = turns_[i];
    const std::uint8_t* const here = codes + turn.block * bytes;
    const std::uint8_t* ahead =
        codes + turns_[std::min(i + kTurnsAhead, turns_.size() - 1)].block * bytes;
    for (std::size_t a = shared_[turn.shared].first; a < shared_[turn.shared].end; ++a) {
      ProbedQuery& query = queries[askers_[a].query];
      const Probe& probe = query.probes[askers_[a].probe];
      const FastScanList list{query.tables.tables(), quads, probe.bias, query.tables.norm_scale()};
      fast_scan_(list, here, norms == nullptr ? nullptr : norms + turn.block * kCodeBlock,
                 turn.blocks, ahead, query.scores.data() + probe.slot + turn.row);
      ahead = here;  // what follows is on its way
    }
  }
  for (ProbedQuery& query : queries)
    for (const Probe& probe : query.probes)
      std::fill(query.scores.data() + probe.slot + probe.rows,
                query.scores.data() + probe.slot + code_blocks(probe.rows) * kCodeBlock, kNoScore);
}

void close_rows(const ProbedQuery& query, const std::uint64_t* allowed, std::int16_t* out) {
  for (const Probe& probe : query.probes) {
    const std::size_t end = probe.slot + code_blocks(probe.rows) * kCodeBlock;
    close_scores(allowed, probe.row, probe.rows, query.scores.data() + probe.slot,
                 out + probe.slot);
    std::fill(out + probe.slot + probe.rows, out + end, kNoScore);
  }
}

}  // namespace friesian
