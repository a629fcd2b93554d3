#include "ivf/ivf_layout.hpp"

#include <cstring>

#include "common/bytes.hpp"
#include "common/bytes_hash.hpp"
#include "common/error.hpp"

namespace friesian {

IvfLayout::IvfLayout(const std::string& path, bool verify) : path_(path), file_(path) {
  const auto bytes = file_.bytes();
  if (bytes.size() < sizeof header_)
    fail("it has " + std::to_string(bytes.size()) +
         " bytes, fewer than a header; it is not a layout or is truncated");
  std::memcpy(&header_, bytes.data(), sizeof header_);
  check_header();
  check_sections();
  if (!verify) return;
  for (const IvfSection* part :
       {&header_.centroids, &header_.list_offsets, &header_.ids, &header_.rows})
    if (hash_bytes(bytes.data() + part->offset, part->bytes) != part->checksum)
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
    fail("it has version " + std::to_string(h.version) + "; this code reads version 1");
  if (hash_bytes(&h, offsetof(IvfHeader, header_checksum)) != h.header_checksum)
    fail("the checksum of its header does not match; the file was altered");
  if (h.file_bytes != size)
    fail("it has " + std::to_string(size) + " bytes, but its header says " +
         std::to_string(h.file_bytes) + "; it is truncated");
}

void IvfLayout::check_sections() const {
  const IvfHeader& h = header_;
  const std::uint64_t size = file_.bytes().size();
  bool fits = h.dim > 0 && h.nlist > 0 && h.nprobe > 0 && h.nprobe <= h.nlist &&
              h.vectors < (std::uint64_t{1} << 32) && static_cast<std::uint32_t>(h.metric) <= 2;
  for (const IvfSection* part : {&h.centroids, &h.list_offsets, &h.ids, &h.rows})
    fits = fits && part->offset % 8 == 0 && part->offset >= sizeof h && part->offset <= size &&
           part->bytes <= size - part->offset;
  // Divided, not multiplied: nlist * row may pass 2^64, and then agree with a small section.
  const std::uint64_t row = std::uint64_t{h.dim} * sizeof(float);
  const std::uint64_t id_bytes = h.string_ids != 0 ? (h.vectors + 1) * 8 : h.vectors * 8;
  fits = fits && h.centroids.bytes / row == h.nlist && h.centroids.bytes % row == 0 &&
         h.list_offsets.bytes == (std::uint64_t{h.nlist} + 1) * 8 &&
         (h.string_ids != 0 ? h.ids.bytes >= id_bytes : h.ids.bytes == id_bytes) &&
         h.rows.bytes / row == h.vectors && h.rows.bytes % row == 0;
  if (!fits) fail("the sections in its header do not fit the file");
  bool sorted = list_begin(0) == 0 && list_begin(h.nlist) == h.vectors;
  for (std::size_t i = 0; i < h.nlist; ++i) sorted = sorted && list_begin(i) <= list_begin(i + 1);
  if (!sorted) fail("its list offsets do not rise from 0 to the number of vectors");
}

const float* IvfLayout::centroids() const noexcept {
  return reinterpret_cast<const float*>(file_.bytes().data() + header_.centroids.offset);
}

std::size_t IvfLayout::list_begin(std::size_t list) const noexcept {
  return load<std::uint64_t>(file_.bytes().data() + header_.list_offsets.offset + list * 8);
}

const float* IvfLayout::vector(std::size_t position) const noexcept {
  return reinterpret_cast<const float*>(file_.bytes().data() + header_.rows.offset) +
         position * header_.dim;
}

std::int64_t IvfLayout::id(std::size_t position) const noexcept {
  return load<std::int64_t>(file_.bytes().data() + header_.ids.offset + position * 8);
}

std::string_view IvfLayout::string_id(std::size_t position) const {
  const unsigned char* ids = file_.bytes().data() + header_.ids.offset;
  const std::uint64_t text = (header_.vectors + 1) * 8;
  const auto begin = load<std::uint64_t>(ids + position * 8);
  const auto end = load<std::uint64_t>(ids + (position + 1) * 8);
  if (begin > end || end > header_.ids.bytes - text)
    fail("the text of id " + std::to_string(position) + " lies outside the file; it was altered");
  return {reinterpret_cast<const char*>(ids + text + begin), end - begin};
}

}  // namespace friesian
