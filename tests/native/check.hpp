#pragma once
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

// What the native tests share: they run under the sanitizers, which find what no return value
// shows.

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                        \
    }                                                                      \
  } while (false)

using Bytes = std::vector<unsigned char>;

// The same numbers in every run.
inline std::mt19937_64& random_source() {
  static std::mt19937_64 source(20261123);
  return source;
}

inline std::uint64_t random_below(std::uint64_t end) { return random_source()() % end; }

// A copy of exactly the size, so that the sanitizer sees the first byte read behind it.
inline Bytes flipped(const Bytes& from, int bits) {
  Bytes bytes(from);
  for (int i = 0; i < bits && !bytes.empty(); ++i) {
    unsigned char& byte = bytes[random_below(bytes.size())];
    byte = static_cast<unsigned char>(byte ^ (1u << random_below(8)));
  }
  return bytes;
}

// A file of its own, removed at the end.
class TemporaryFile {
 public:
  TemporaryFile()
      : path_((std::filesystem::temp_directory_path() /
               ("friesian_core_tests." + std::to_string(::getpid())))
                  .string()) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

  [[nodiscard]] Bytes read() const {
    std::ifstream file(path_, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
  }

  void write(const Bytes& bytes) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }

 private:
  std::string path_;
};
