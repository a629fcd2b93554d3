#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace friesian {

// A whole file, mapped for reading. The mapping outlives a rename or removal of the file.
class MappedFile {
 public:
  // Throws std::system_error (which names the path) when it cannot be opened or mapped.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const unsigned char> bytes() const noexcept { return bytes_; }

 private:
  std::span<const unsigned char> bytes_;
};

}  // namespace friesian
