#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

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

// The first bytes of a layout file, version 1.
struct IvfHeader {
  char magic[8];
  std::uint32_t version;
  Metric metric;
  std::uint32_t dim;
  std::uint32_t nlist;
  std::uint32_t nprobe;
  std::uint32_t string_ids;
  std::uint64_t vectors;
  std::uint64_t file_bytes;
  IvfSection centroids;     // float32[nlist][dim]
  IvfSection list_offsets;  // u64[nlist + 1], in vectors
  IvfSection ids;           // int64[n], or u64[n + 1] byte offsets and then the text
  IvfSection rows;          // float32[n][dim], list after list
  std::uint64_t reserved[12];
  std::uint64_t header_checksum;
};
static_assert(sizeof(IvfHeader) == 248);

inline constexpr char kIvfMagic[8] = {'F', 'R', 'S', 'N', 'I', 'V', 'F', 'F'};
inline constexpr std::uint32_t kIvfVersion = 1;

// A memory-mapped layout. Everything read from it is checked: when it is opened, or, for the text
// of string ids, when it is followed. So no bytes in the file can make a reader crash.
class IvfLayout {
 public:
  // Throws InvalidInput, naming the path, when the file is no layout of this version, is truncated
  // or altered; std::system_error when it cannot be read. `verify` also reads the whole file for
  // its checksums.
  IvfLayout(const std::string& path, bool verify);

  [[nodiscard]] std::size_t size() const noexcept { return header_.vectors; }
  [[nodiscard]] std::size_t dim() const noexcept { return header_.dim; }
  [[nodiscard]] std::size_t nlist() const noexcept { return header_.nlist; }
  [[nodiscard]] std::size_t nprobe() const noexcept { return header_.nprobe; }
  [[nodiscard]] Metric metric() const noexcept { return header_.metric; }
  [[nodiscard]] bool string_ids() const noexcept { return header_.string_ids != 0; }

  [[nodiscard]] const float* centroids() const noexcept;
  // The vectors of list l are [list_begin(l), list_begin(l + 1)).
  [[nodiscard]] std::size_t list_begin(std::size_t list) const noexcept;
  [[nodiscard]] const float* vector(std::size_t position) const noexcept;
  [[nodiscard]] std::int64_t id(std::size_t position) const noexcept;
  // Throws InvalidInput when the text lies outside the file.
  [[nodiscard]] std::string_view string_id(std::size_t position) const;

 private:
  void check_header() const;
  void check_sections() const;
  [[noreturn]] void fail(const std::string& what) const;

  std::string path_;
  MappedFile file_;
  IvfHeader header_{};
};

// What a layout is made of; vectors and ids stand list after list.
struct IvfParts {
  Metric metric;
  std::size_t dim;
  std::size_t nprobe;
  std::span<const float> centroids;
  std::span<const std::uint64_t> list_offsets;
  std::span<const std::int64_t> ids;
  std::span<const std::string_view> string_ids;  // instead of ids
  bool has_string_ids;
  std::span<const float> vectors;
};

// Writes a new layout at `path`, synced; the caller renames it into place.
void write_ivf_layout(const std::string& path, const IvfParts& parts);

// Changes the number of lists that a search probes by default: one synced write of the header.
void store_nprobe(const std::string& path, std::uint32_t nprobe);

}  // namespace friesian
