#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/mapped_file.hpp"

namespace friesian {

// What a score is: the inner product (of normalised vectors for cosine), or minus the squared
// distance. More is always better.
enum class Metric : std::uint32_t { ip = 0, cosine = 1, l2 = 2 };

struct IvfSection {
  std::uint64_t offset;
  std::uint64_t bytes;
  std::uint64_t checksum;
};

// How deep a search goes when it does not say; what tuning measured it for.
struct IvfDepth {
  std::uint32_t nprobe;  // lists probed, in [1, nlist]
  std::uint32_t rerank;  // candidates whose rows are compared, at least 1
  std::uint32_t k;       // the k these are for; a larger k takes candidates in proportion
  // For k at most, and without a filter: lists probed at most, and IvfSearchOptions::margin. Both 0
  // where a margin gains nothing.
  std::uint32_t most_lists = 0;
  float margin = 0;
};

// Whether all of it is in range, for so many lists.
[[nodiscard]] bool is_sound(const IvfDepth& depth, std::size_t nlist) noexcept;

inline constexpr std::size_t kIvfSections = 9;

// The first bytes of a layout file, version 4.
struct IvfHeader {
  char magic[8];
  std::uint32_t version;
  Metric metric;
  std::uint32_t dim;
  std::uint32_t nlist;
  IvfDepth depth;
  std::uint32_t string_ids;
  std::uint64_t vectors;
  std::uint64_t file_bytes;
  float centroid_scale;  // a centroid's value is its code times this
  float norm_scale;      // a row's norm term is its code times this
  float row_scale;       // a row's value is its half-precision number times this, a power of two
  float exact_share;     // a filter that lets at most this share through is searched exactly
  float largest_norm;    // of a row
  float largest_rest;    // of a row: the norm of what its half precision lacks
  IvfSection sections[kIvfSections];  // in the order of IvfPart
  std::uint64_t header_checksum;
};
static_assert(sizeof(IvfHeader) == 312);

enum class IvfPart : std::size_t {
  list_offsets,    // u64[nlist + 1], in vectors
  centroids,       // int8, blocks of kCentroidBlock centroids, four dimensions of each side by side
  centroid_norms,  // float[nlist], half the squared norm; L2 only, else empty
  codebook,        // float[code_pairs * 4][2][16]
  codes,           // 4-bit codes, blocks of kCodeBlock rows, each list padded to whole blocks
  row_norms,       // int16 per row of a block: half of |row|^2 - |centroid|^2; L2 only, else empty
  rows,            // half precision [n][dim], list after list
  rests,           // int16 [n][dim], what the halves lack: see row_rest.hpp
  ids,             // int64[n], or u64[n + 1] byte offsets and then the text
};

inline constexpr char kIvfMagic[8] = {'F', 'R', 'S', 'N', 'I', 'V', 'F', 'F'};
inline constexpr std::uint32_t kIvfVersion = 4;
inline constexpr std::uint32_t kMaxIvfDim = 1u << 13;

// Centroids of one block; each group of four dimensions takes four bytes of each centroid.
inline constexpr std::size_t kCentroidBlock = 16;
// Rows of one block of codes. Four codes of a row take two bytes, 32 rows apart.
inline constexpr std::size_t kCodeBlock = 32;

// Groups of four dimensions in a centroid, the last one filled up with zeros.
[[nodiscard]] constexpr std::size_t centroid_groups(std::size_t dim) noexcept {
  return (dim + 3) / 4;
}
[[nodiscard]] constexpr std::size_t centroid_bytes(std::size_t nlist, std::size_t dim) noexcept {
  return (nlist + kCentroidBlock - 1) / kCentroidBlock * centroid_groups(dim) * 4 * kCentroidBlock;
}
// A code is four bits for two dimensions; a quad is four codes, the last one filled up with zeros.
[[nodiscard]] constexpr std::size_t code_quads(std::size_t dim) noexcept { return (dim + 7) / 8; }
[[nodiscard]] constexpr std::size_t block_bytes(std::size_t dim) noexcept {
  return code_quads(dim) * 2 * kCodeBlock;
}
[[nodiscard]] constexpr std::size_t code_blocks(std::size_t rows) noexcept {
  return (rows + kCodeBlock - 1) / kCodeBlock;
}

// A memory-mapped layout. Everything read from it is checked: when it is opened, or, for the text
// of string ids, when it is followed. So no bytes in the file can make a reader crash.
class IvfLayout {
 public:
  // Throws InvalidInput, naming the path, when the file is no layout of this version, is truncated
  // or altered; std::system_error when it cannot be read. `verify` also reads the whole file for
  // its checksums.
  IvfLayout(const std::string& path, bool verify, Residence residence = Residence::mapped);

  [[nodiscard]] std::size_t size() const noexcept { return header_.vectors; }
  [[nodiscard]] std::size_t dim() const noexcept { return header_.dim; }
  [[nodiscard]] std::size_t nlist() const noexcept { return header_.nlist; }
  [[nodiscard]] const IvfDepth& depth() const noexcept { return header_.depth; }
  // Of a search for k answers that does not say, without a filter.
  [[nodiscard]] bool has_margin(std::size_t k) const noexcept {
    return depth().margin > 0 && k <= depth().k;
  }
  [[nodiscard]] float exact_share() const noexcept { return header_.exact_share; }
  [[nodiscard]] Metric metric() const noexcept { return header_.metric; }
  [[nodiscard]] bool string_ids() const noexcept { return header_.string_ids != 0; }
  [[nodiscard]] float centroid_scale() const noexcept { return header_.centroid_scale; }
  [[nodiscard]] float norm_scale() const noexcept { return header_.norm_scale; }
  [[nodiscard]] float row_scale() const noexcept { return header_.row_scale; }
  [[nodiscard]] float largest_norm() const noexcept { return header_.largest_norm; }
  [[nodiscard]] float largest_rest() const noexcept { return header_.largest_rest; }

  // Of the contents: equal for copies of one index, whatever depth they store.
  [[nodiscard]] std::uint64_t fingerprint() const noexcept;

  // The rows of list l are [list_begin(l), list_begin(l + 1)), its codes the blocks from
  // block_begin(l).
  [[nodiscard]] std::size_t list_begin(std::size_t list) const noexcept {
    return part<std::uint64_t>(IvfPart::list_offsets)[list];
  }
  [[nodiscard]] std::size_t block_begin(std::size_t list) const noexcept {
    return block_begin_[list];
  }
  template <typename T>
  [[nodiscard]] const T* part(IvfPart part) const noexcept {
    return reinterpret_cast<const T*>(file_.bytes().data() + section(part).offset);
  }
  [[nodiscard]] std::int64_t id(std::size_t position) const noexcept;
  // Throws InvalidInput when the text lies outside the file.
  [[nodiscard]] std::string_view string_id(std::size_t position) const;

 private:
  [[nodiscard]] const IvfSection& section(IvfPart part) const noexcept {
    return header_.sections[static_cast<std::size_t>(part)];
  }
  void check_header() const;
  void check_sections() const;
  void check_numbers() const;
  void index_blocks();
  [[noreturn]] void fail(const std::string& what) const;

  std::string path_;
  MappedFile file_;
  IvfHeader header_{};
  std::vector<std::uint32_t> block_begin_;
};

// What a layout is made of; vectors, codes and ids stand list after list.
struct IvfParts {
  Metric metric;
  std::size_t dim;
  IvfDepth depth;
  std::span<const float> centroids;             // [nlist][dim]
  std::span<const std::uint64_t> list_offsets;  // [nlist + 1]
  std::span<const float> codebook;              // [(dim + 1) / 2][16][2], as product quantisers go
  std::span<const std::uint8_t> codes;          // [n][(dim + 1) / 2], one code a byte, below 16
  std::span<const float> vectors;               // [n][dim]
  std::span<const std::int64_t> ids;
  std::span<const std::string_view> string_ids;  // instead of ids
  bool has_string_ids;
};

// Writes a new layout at `path`, synced; the caller renames it into place.
void write_ivf_layout(const std::string& path, const IvfParts& parts);

// Changes how deep a search goes by default, and below which share of allowed vectors, in [0, 1],
// it is exact: one synced write of the header.
void store_depth(const std::string& path, const IvfDepth& depth, float exact_share = 0);

}  // namespace friesian
