#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace friesian {

// Where a file's bytes are read from: the page cache, shared by all processes and filled when it
// is needed; or a copy of their own in huge pages, which costs the memory, and saves the walk over
// page tables at every random access.
enum class Residence : std::uint8_t { mapped, huge_pages };

// A whole file in memory, for reading. It outlives a rename or removal of the file; a copy
// outlives whatever is done to it.
class MappedFile {
 public:
  // Throws std::system_error (which names the path) when it cannot be opened, mapped or read.
  explicit MappedFile(const std::string& path, Residence residence = Residence::mapped);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const unsigned char> bytes() const noexcept { return bytes_; }

 private:
  std::span<const unsigned char> bytes_;
};

}  // namespace friesian
