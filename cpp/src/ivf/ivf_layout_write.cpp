#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "common/bytes.hpp"
#include "common/bytes_hash.hpp"
#include "common/error.hpp"
#include "common/file_writer.hpp"
#include "ivf/ivf_layout.hpp"

namespace friesian {

namespace {

constexpr std::uint64_t kSectionAlignment = 64;

// The u64 offsets of the texts, then the texts.
std::vector<unsigned char> string_section(std::span<const std::string_view> ids) {
  std::uint64_t text = 0;
  for (const auto id : ids) text += id.size();
  std::vector<unsigned char> out((ids.size() + 1) * 8 + text);
  unsigned char* at = out.data() + (ids.size() + 1) * 8;
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!ids[i].empty()) std::memcpy(at + offset, ids[i].data(), ids[i].size());
    offset += ids[i].size();
    store(out.data() + (i + 1) * 8, offset);
  }
  return out;
}

void seal(IvfHeader& header) {
  header.header_checksum = hash_bytes(&header, offsetof(IvfHeader, header_checksum));
}

}  // namespace

void write_ivf_layout(const std::string& path, const IvfParts& parts) {
  const std::vector<unsigned char> texts =
      parts.has_string_ids ? string_section(parts.string_ids) : std::vector<unsigned char>();
  const auto bytes_of = [](const auto& values) {
    return std::span(reinterpret_cast<const unsigned char*>(values.data()), values.size_bytes());
  };
  const std::span<const unsigned char> contents[] = {
      bytes_of(parts.centroids), bytes_of(parts.list_offsets),
      parts.has_string_ids ? std::span<const unsigned char>(texts) : bytes_of(parts.ids),
      bytes_of(parts.vectors)};
  IvfHeader header{};
  IvfSection* const sections[] = {&header.centroids, &header.list_offsets, &header.ids,
                                  &header.rows};
  std::memcpy(header.magic, kIvfMagic, sizeof header.magic);
  header.version = kIvfVersion;
  header.metric = parts.metric;
  header.dim = static_cast<std::uint32_t>(parts.dim);
  header.nlist = static_cast<std::uint32_t>(parts.list_offsets.size() - 1);
  header.nprobe = static_cast<std::uint32_t>(parts.nprobe);
  header.string_ids = parts.has_string_ids ? 1 : 0;
  header.vectors = parts.vectors.size() / parts.dim;
  std::uint64_t end = sizeof header;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::uint64_t offset = align_up(end, kSectionAlignment);
    *sections[i] = {offset, contents[i].size(), hash_bytes(contents[i].data(), contents[i].size())};
    end = offset + contents[i].size();
  }
  header.file_bytes = end;
  seal(header);
  FileWriter file(path);
  file.write(&header, sizeof header);
  for (std::size_t i = 0; i < 4; ++i) {
    file.pad_to(sections[i]->offset);
    file.write(contents[i].data(), contents[i].size());
  }
  file.sync();
}

void store_nprobe(const std::string& path, std::uint32_t nprobe) {
  IvfHeader header;
  {
    const IvfLayout checked(path, false);
    if (nprobe < 1 || nprobe > checked.nlist())
      throw InvalidInput("nprobe must be in [1, " + std::to_string(checked.nlist()) + "], got " +
                         std::to_string(nprobe));
    std::memcpy(&header, MappedFile(path).bytes().data(), sizeof header);
  }
  header.nprobe = nprobe;
  seal(header);
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) throw std::system_error(errno, std::generic_category(), path);
  const bool written =
      ::pwrite(file, &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header) &&
      ::fsync(file) == 0;
  const int code = errno;
  ::close(file);
  if (!written) throw std::system_error(code, std::generic_category(), path);
}

}  // namespace friesian
