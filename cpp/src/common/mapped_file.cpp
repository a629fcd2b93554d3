#include "common/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace friesian {

MappedFile::MappedFile(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw std::system_error(errno, std::generic_category(), path);
  struct stat status{};
  if (::fstat(file, &status) != 0) {
    const int code = errno;
    ::close(file);
    throw std::system_error(code, std::generic_category(), path);
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > 0) {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
    const int code = errno;
    ::close(file);
    if (address == MAP_FAILED) throw std::system_error(code, std::generic_category(), path);
    ::madvise(address, size, MADV_WILLNEED);  // a hint; what it returns does not matter
    bytes_ = {static_cast<const unsigned char*>(address), size};
  } else {
    ::close(file);
  }
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<unsigned char*>(bytes_.data()), bytes_.size());
}

}  // namespace friesian
