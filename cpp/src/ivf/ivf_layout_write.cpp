#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <system_error>
#include <vector>

#include "common/bytes.hpp"
#include "common/bytes_hash.hpp"
#include "common/error.hpp"
#include "common/file_writer.hpp"
#include "ivf/half.hpp"
#include "ivf/ivf_layout.hpp"
#include "ivf/row_rest.hpp"

namespace friesian {

namespace {

using ByteBuffer = std::vector<unsigned char>;
using ByteSpan = std::span<const unsigned char>;

template <typename Values>
ByteSpan bytes_of(const Values& values) {
  return {reinterpret_cast<const unsigned char*>(values.data()),
          values.size() * sizeof(*values.data())};
}

// The u64 offsets of the texts, then the texts.
ByteBuffer string_section(std::span<const std::string_view> ids) {
  std::uint64_t text = 0;
  for (const auto id : ids) text += id.size();
  ByteBuffer out((ids.size() + 1) * 8 + text);
  unsigned char* at = out.data() + (ids.size() + 1) * 8;
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!ids[i].empty()) std::memcpy(at + offset, ids[i].data(), ids[i].size());
    offset += ids[i].size();
    store(out.data() + (i + 1) * 8, offset);
  }
  return out;
}

float largest(std::span<const float> values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::fabs(value));
  return most;
}

// One unit of a signed code whose largest is `steps`.
float unit_of(float most, float steps) {
  const float unit = most / steps;
  return unit > 0 ? unit : 1.0f;
}

double half_norm(const float* vector, std::size_t dim) {
  double sum = 0;
  for (std::size_t j = 0; j < dim; ++j) sum += double{vector[j]} * double{vector[j]};
  return sum / 2;
}

ByteBuffer centroid_codes(const IvfParts& parts, float unit) {
  const std::size_t nlist = parts.list_offsets.size() - 1;
  const std::size_t groups = centroid_groups(parts.dim);
  ByteBuffer out(centroid_bytes(nlist, parts.dim));
  for (std::size_t c = 0; c < nlist; ++c)
    for (std::size_t j = 0; j < parts.dim; ++j) {
      const auto code = static_cast<int>(std::lrint(parts.centroids[c * parts.dim + j] / unit));
      const std::size_t block = c / kCentroidBlock * groups + j / 4;
      out[(block * kCentroidBlock + c % kCentroidBlock) * 4 + j % 4] =
          static_cast<unsigned char>(std::clamp(code, -127, 127));
    }
  return out;
}

std::vector<float> centroid_norms(const IvfParts& parts) {
  std::vector<float> norms;
  if (parts.metric != Metric::l2) return norms;
  for (std::size_t c = 0; c < parts.list_offsets.size() - 1; ++c)
    norms.push_back(
        static_cast<float>(half_norm(parts.centroids.data() + c * parts.dim, parts.dim)));
  return norms;
}

// From [pair][16][2] to [pair][2][16], so that the 16 entries of a table are made at once.
std::vector<float> turned_codebook(const IvfParts& parts) {
  std::vector<float> out(code_quads(parts.dim) * 4 * 2 * 16);
  for (std::size_t i = 0; i < parts.codebook.size(); ++i)
    out[i / 32 * 32 + i % 2 * 16 + i / 2 % 16] = parts.codebook[i];
  return out;
}

// Code 4j and 4j + 1 of row v are the low and high half of byte v of the j-th 64 bytes of its
// block; 4j + 2 and 4j + 3 those of byte 32 + v.
ByteBuffer code_section(const IvfParts& parts) {
  const std::size_t per_row = (parts.dim + 1) / 2;
  ByteBuffer out;
  for (std::size_t list = 0; list + 1 < parts.list_offsets.size(); ++list) {
    const std::size_t begin = parts.list_offsets[list], end = parts.list_offsets[list + 1];
    const std::size_t start = out.size();
    out.resize(start + code_blocks(end - begin) * block_bytes(parts.dim));
    for (std::size_t row = begin; row < end; ++row) {
      const std::size_t v = row - begin;
      unsigned char* block = out.data() + start + v / kCodeBlock * block_bytes(parts.dim);
      for (std::size_t m = 0; m < per_row; ++m) {
        unsigned char& to = block[m / 4 * 64 + m % 4 / 2 * 32 + v % kCodeBlock];
        to = static_cast<unsigned char>(to | parts.codes[row * per_row + m] << (m % 2 * 4));
      }
    }
  }
  return out;
}

// Half of |row|^2 - |centroid|^2 of every place of a block; 0 where there is no row.
std::vector<float> row_norms(const IvfParts& parts) {
  std::vector<float> norms;
  if (parts.metric != Metric::l2) return norms;
  for (std::size_t list = 0; list + 1 < parts.list_offsets.size(); ++list) {
    const std::size_t begin = parts.list_offsets[list], end = parts.list_offsets[list + 1];
    const double base = half_norm(parts.centroids.data() + list * parts.dim, parts.dim);
    for (std::size_t row = begin; row < end; ++row)
      norms.push_back(
          static_cast<float>(half_norm(parts.vectors.data() + row * parts.dim, parts.dim) - base));
    norms.resize(norms.size() + code_blocks(end - begin) * kCodeBlock - (end - begin));
  }
  return norms;
}

std::vector<std::int16_t> norm_codes(std::span<const float> norms, float unit) {
  std::vector<std::int16_t> out(norms.size());
  std::ranges::transform(norms, out.begin(), [unit](float norm) {
    return static_cast<std::int16_t>(std::clamp(std::lrint(norm / unit), -32767L, 32767L));
  });
  return out;
}

// The power of two that brings the largest value below 2^15, out of the way of both ends.
float power_of_two_unit(float most) {
  return most > 0 ? std::ldexp(1.0f, std::max(std::ilogb(most) - 14, -60)) : 1.0f;
}

std::vector<std::uint16_t> half_rows(std::span<const float> vectors, float unit) {
  std::vector<std::uint16_t> out(vectors.size());
  std::ranges::transform(vectors, out.begin(),
                         [unit](float value) { return float_to_half(value / unit); });
  return out;
}

std::vector<std::int16_t> row_rests(std::span<const float> vectors,
                                    std::span<const std::uint16_t> rows, float unit) {
  std::vector<std::int16_t> out(vectors.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = rest_of(vectors[i] / unit, rows[i]);
  return out;
}

// No less than `value`.
float upwards(double value) {
  return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

// The largest norm of a row, and of what a row's half precision lacks.
void bound_rows(const IvfParts& parts, std::span<const std::uint16_t> rows, IvfHeader& header) {
  double norm = 0, rest = 0;
  for (std::size_t begin = 0; begin < rows.size(); begin += parts.dim) {
    double of_row = 0, of_rest = 0;
    for (std::size_t i = begin; i < begin + parts.dim; ++i) {
      const double value = parts.vectors[i];
      const double lacking = value - double{half_to_float(rows[i])} * header.row_scale;
      of_row += value * value;
      of_rest += lacking * lacking;
    }
    norm = std::max(norm, of_row);
    rest = std::max(rest, of_rest);
  }
  header.largest_norm = upwards(std::sqrt(norm));
  header.largest_rest = upwards(std::sqrt(rest));
}

void seal(IvfHeader& header) {
  header.header_checksum = hash_bytes(&header, offsetof(IvfHeader, header_checksum));
}

IvfHeader header_of(const IvfParts& parts) {
  IvfHeader header{};
  std::memcpy(header.magic, kIvfMagic, sizeof header.magic);
  header.version = kIvfVersion;
  header.metric = parts.metric;
  header.dim = static_cast<std::uint32_t>(parts.dim);
  header.nlist = static_cast<std::uint32_t>(parts.list_offsets.size() - 1);
  header.depth = parts.depth;
  header.string_ids = parts.has_string_ids ? 1 : 0;
  header.vectors = parts.vectors.size() / parts.dim;
  return header;
}

void write_file(const std::string& path, IvfHeader& header,
                const std::array<ByteSpan, kIvfSections>& contents) {
  std::uint64_t end = sizeof header;
  for (std::size_t i = 0; i < kIvfSections; ++i) {
    const std::uint64_t offset = align_up(end, kCacheLine);
    header.sections[i] = {offset, contents[i].size(),
                          hash_bytes(contents[i].data(), contents[i].size())};
    end = offset + contents[i].size();
  }
  header.file_bytes = end;
  seal(header);
  FileWriter file(path);
  file.write(&header, sizeof header);
  for (std::size_t i = 0; i < kIvfSections; ++i) {
    file.pad_to(header.sections[i].offset);
    file.write(contents[i].data(), contents[i].size());
  }
  file.sync();
}

}  // namespace

void write_ivf_layout(const std::string& path, const IvfParts& parts) {
  if (parts.dim > kMaxIvfDim)
    throw InvalidInput("vectors of " + std::to_string(parts.dim) + " dimensions; at most " +
                       std::to_string(kMaxIvfDim) + " can be indexed");
  IvfHeader header = header_of(parts);
  const std::vector<float> norms = row_norms(parts);
  header.centroid_scale = unit_of(largest(parts.centroids), 127);
  header.norm_scale = unit_of(largest(norms), 32767);
  header.row_scale = power_of_two_unit(largest(parts.vectors));
  const ByteBuffer centroids = centroid_codes(parts, header.centroid_scale);
  const std::vector<float> of_centroids = centroid_norms(parts);
  const std::vector<float> codebook = turned_codebook(parts);
  const ByteBuffer codes = code_section(parts);
  const std::vector<std::int16_t> of_rows = norm_codes(norms, header.norm_scale);
  const std::vector<std::uint16_t> rows = half_rows(parts.vectors, header.row_scale);
  const std::vector<std::int16_t> rests = row_rests(parts.vectors, rows, header.row_scale);
  bound_rows(parts, rows, header);
  const ByteBuffer texts = parts.has_string_ids ? string_section(parts.string_ids) : ByteBuffer();
  write_file(path, header,
             {bytes_of(parts.list_offsets), centroids, bytes_of(of_centroids), bytes_of(codebook),
              codes, bytes_of(of_rows), bytes_of(rows), bytes_of(rests),
              parts.has_string_ids ? ByteSpan(texts) : bytes_of(parts.ids)});
}

void store_depth(const std::string& path, const IvfDepth& depth, float exact_share) {
  IvfHeader header;
  {
    const IvfLayout checked(path, false);
    if (depth.nprobe < 1 || depth.nprobe > checked.nlist())
      throw InvalidInput("nprobe must be in [1, " + std::to_string(checked.nlist()) + "], got " +
                         std::to_string(depth.nprobe));
    if (depth.rerank < 1 || depth.k < 1) throw InvalidInput("rerank and k must be at least 1");
    if (!is_sound(depth, checked.nlist()))
      throw InvalidInput("a margin must be finite and above 0, and go with lists in [1, " +
                         std::to_string(checked.nlist()) + "]; got " +
                         std::to_string(depth.margin) + " and " + std::to_string(depth.most_lists));
    if (!(exact_share >= 0 && exact_share <= 1))
      throw InvalidInput("exact_share must be in [0, 1], got " + std::to_string(exact_share));
    std::memcpy(&header, MappedFile(path).bytes().data(), sizeof header);
  }
  header.depth = depth;
  header.exact_share = exact_share;
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
