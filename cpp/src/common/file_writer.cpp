#include "common/file_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace friesian {

FileWriter::FileWriter(const std::string& path)
    : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
  if (file_ < 0) fail();
}

FileWriter::~FileWriter() { ::close(file_); }

void FileWriter::fail() const { throw std::system_error(errno, std::generic_category(), path_); }

void FileWriter::write(const void* from, std::size_t bytes) {
  const auto* at = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t done = ::write(file_, at, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail();
    at += done;
    bytes -= static_cast<std::size_t>(done);
    written_ += static_cast<std::uint64_t>(done);
  }
}

void FileWriter::pad_to(std::uint64_t offset) {
  static constexpr std::array<char, 4096> kZeros{};
  while (written_ < offset)
    write(kZeros.data(),
          static_cast<std::size_t>(std::min<std::uint64_t>(offset - written_, kZeros.size())));
}

void FileWriter::sync() {
  if (::fsync(file_) != 0) fail();
}

}  // namespace friesian
