#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace friesian {

// Writes a new file front to back. The caller renames it into place once sync() has returned.
// Every failure is a std::system_error that names the path.
class FileWriter {
 public:
  explicit FileWriter(const std::string& path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(const void* from, std::size_t bytes);
  void pad_to(std::uint64_t offset);
  void sync();

 private:
  [[noreturn]] void fail() const;

  std::string path_;
  int file_;
  std::uint64_t written_ = 0;
};

}  // namespace friesian
