#include "common/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace friesian {

namespace {

// MADV_COLLAPSE, which older headers lack. Linux refuses it before 6.1.
constexpr int kCollapse = 25;

// An open file that closes itself; failures name the path.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path)
      : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (file_ < 0) fail(errno);
  }
  ~OpenFile() { ::close(file_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  [[nodiscard]] std::size_t size() const {
    struct stat status{};
    if (::fstat(file_, &status) != 0) fail(errno);
    return static_cast<std::size_t>(status.st_size);
  }

  [[nodiscard]] unsigned char* map(std::size_t size) const {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file_, 0);
    if (address == MAP_FAILED) fail(errno);
    ::madvise(address, size, MADV_WILLNEED);  // a hint; what it returns does not matter
    return static_cast<unsigned char*>(address);
  }

  // Where the system grants no huge pages these are plain ones.
  [[nodiscard]] unsigned char* copy(std::size_t size) const {
    void* address =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) fail(errno);
    ::madvise(address, size, MADV_HUGEPAGE);
    auto* to = static_cast<unsigned char*>(address);
    const int code = read_into(to, size);
    if (code != 0) {
      ::munmap(address, size);
      fail(code);
    }
    // Where no huge page was free when the bytes came, the system is asked to make room for one.
    ::madvise(address, size, kCollapse);
    ::mprotect(address, size, PROT_READ);
    return to;
  }

 private:
  [[noreturn]] void fail(int code) const {
    throw std::system_error(code, std::generic_category(), path_);
  }

  // 0, or what went wrong; so is a file that has become shorter meanwhile.
  [[nodiscard]] int read_into(unsigned char* to, std::size_t size) const {
    for (std::size_t at = 0; at < size;) {
      const ssize_t got = ::pread(file_, to + at, size - at, static_cast<off_t>(at));
      if (got == 0) return EIO;
      if (got > 0)
        at += static_cast<std::size_t>(got);
      else if (errno != EINTR)
        return errno;
    }
    return 0;
  }

  const std::string& path_;
  int file_;
};

}  // namespace

MappedFile::MappedFile(const std::string& path, Residence residence) {
  const OpenFile file(path);
  const std::size_t size = file.size();
  if (size == 0) return;
  bytes_ = {residence == Residence::mapped ? file.map(size) : file.copy(size), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<unsigned char*>(bytes_.data()), bytes_.size());
}

}  // namespace friesian
