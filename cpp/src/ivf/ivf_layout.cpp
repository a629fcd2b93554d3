#include "ivf/ivf_layout.hpp"

#include <cmath>
#include <cstring>

#include "common/bytes.hpp"
#include "common/bytes_hash.hpp"
#include "common/error.hpp"

namespace friesian {

IvfLayout::IvfLayout(const std::string& path, bool verify, Residence residence)
    : path_(path), file_(path, residence) {
  const auto bytes = file_.bytes();
  if (bytes.size() < sizeof header_)
    fail("it has " + std::to_string(bytes.size()) +
         " bytes, fewer than a header; it is not a layout or is truncated");
  std::memcpy(&header_, bytes.data(), sizeof header_);
  check_header();
  check_numbers();
  check_sections();
  index_blocks();
  if (!verify) return;
  for (const IvfSection& part : header_.sections)
    if (hash_bytes(bytes.data() + part.offset, part.bytes) != part.checksum)
      fail("the checksum of a section does not match; the file was altered");
}

void IvfLayout::fail(const std::string& what) const {
  throw InvalidInput("index layout " + path_ + ": " + what);
}

void IvfLayout::check_header() const {
  const IvfHeader& h = header_;
  const std::uint64_t size = file_.bytes().size();
  if (std::memcmp(h.magic, kIvfMagic, sizeof h.magic) != 0)
    fail("it does not begin with FRSNIVFF; it is not an index layout");
  if (h.version != kIvfVersion)
    fail("it has version " + std::to_string(h.version) +
         "; this code reads version 4: build the index again");
  if (hash_bytes(&h, offsetof(IvfHeader, header_checksum)) != h.header_checksum)
    fail("the checksum of its header does not match; the file was altered");
  if (h.file_bytes != size)
    fail("it has " + std::to_string(size) + " bytes, but its header says " +
         std::to_string(h.file_bytes) + "; it is truncated");
}

bool is_sound(const IvfDepth& depth, std::size_t nlist) noexcept {
  return depth.nprobe > 0 && depth.nprobe <= nlist && depth.rerank > 0 && depth.k > 0 &&
         depth.most_lists <= nlist && std::isfinite(depth.margin) && depth.margin >= 0 &&
         (depth.most_lists > 0) == (depth.margin > 0);
}

void IvfLayout::check_numbers() const {
  const IvfHeader& h = header_;
  const auto usable = [](float scale) { return std::isfinite(scale) && scale > 0; };
  const bool sound = h.dim > 0 && h.dim <= kMaxIvfDim && h.nlist > 0 &&
                     is_sound(h.depth, h.nlist) && h.vectors < (std::uint64_t{1} << 32) &&
                     static_cast<std::uint32_t>(h.metric) <= 2 && usable(h.centroid_scale) &&
                     usable(h.norm_scale) && usable(h.row_scale) && h.exact_share >= 0 &&
                     h.exact_share <= 1 && std::isfinite(h.largest_norm) && h.largest_norm >= 0 &&
                     std::isfinite(h.largest_rest) && h.largest_rest >= 0;
  if (!sound) fail("the numbers in its header are out of range");
}

void IvfLayout::check_sections() const {
  const IvfHeader& h = header_;
  const std::uint64_t size = file_.bytes().size();
  bool fits = true;
  for (const IvfSection& part : h.sections)
    fits = fits && part.offset % kCacheLine == 0 && part.offset >= sizeof h &&
           part.offset <= size && part.bytes <= size - part.offset;
  // No product here passes 2^64: dim is at most 2^13, nlist and vectors are below 2^32.
  const auto has = [this](IvfPart part, std::uint64_t bytes) {
    return section(part).bytes == bytes;
  };
  const std::uint64_t n = h.vectors, lists = h.nlist, dim = h.dim;
  const bool l2 = h.metric == Metric::l2;
  fits =
      fits && has(IvfPart::list_offsets, (lists + 1) * 8) &&
      has(IvfPart::centroids, centroid_bytes(lists, dim)) &&
      has(IvfPart::centroid_norms, l2 ? lists * sizeof(float) : 0) &&
      has(IvfPart::codebook, code_quads(dim) * 4 * 2 * 16 * sizeof(float)) &&
      has(IvfPart::rows, n * dim * 2) && has(IvfPart::rests, n * dim * 2) &&
      (h.string_ids != 0 ? section(IvfPart::ids).bytes >= (n + 1) * 8 : has(IvfPart::ids, n * 8));
  if (!fits) fail("the sections in its header do not fit the file");
  bool sorted = list_begin(0) == 0 && list_begin(lists) == n;
  for (std::size_t i = 0; i < lists; ++i) sorted = sorted && list_begin(i) <= list_begin(i + 1);
  if (!sorted) fail("its list offsets do not rise from 0 to the number of vectors");
}

// Where each list's blocks begin: sums that are cheaper to make than to read and check.
void IvfLayout::index_blocks() {
  block_begin_.resize(nlist() + 1);
  std::uint64_t blocks = 0;
  for (std::size_t i = 0; i < nlist(); ++i) {
    blocks += code_blocks(list_begin(i + 1) - list_begin(i));
    block_begin_[i + 1] = static_cast<std::uint32_t>(blocks);
  }
  const std::uint64_t norms = metric() == Metric::l2 ? blocks * kCodeBlock * 2 : 0;
  if (section(IvfPart::codes).bytes != blocks * block_bytes(dim()) ||
      section(IvfPart::row_norms).bytes != norms)
    fail("the sections in its header do not fit the file");
}

std::uint64_t IvfLayout::fingerprint() const noexcept {
  return hash_bytes(&header_.sections, sizeof header_.sections);
}

std::int64_t IvfLayout::id(std::size_t position) const noexcept {
  return part<std::int64_t>(IvfPart::ids)[position];
}

std::string_view IvfLayout::string_id(std::size_t position) const {
  const auto* ids = part<unsigned char>(IvfPart::ids);
  const std::uint64_t text = (header_.vectors + 1) * 8;
  const auto begin = load<std::uint64_t>(ids + position * 8);
  const auto end = load<std::uint64_t>(ids + (position + 1) * 8);
  if (begin > end || end > section(IvfPart::ids).bytes - text)
    fail("the text of id " + std::to_string(position) + " lies outside the file; it was altered");
  return {reinterpret_cast<const char*>(ids + text + begin), end - begin};
}

}  // namespace friesian
