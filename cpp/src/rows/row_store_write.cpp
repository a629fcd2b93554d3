#include <bit>
#include <cstring>

#include "common/bytes.hpp"
#include "common/bytes_hash.hpp"
#include "common/error.hpp"
#include "common/file_writer.hpp"
#include "rows/row_store.hpp"

namespace friesian {

namespace {

constexpr std::uint64_t kTableAlignment = 64;

// Open addressing, at most two thirds full.
class IdTable {
 public:
  explicit IdTable(std::size_t n) : slots_(std::bit_ceil(n + n / 2 + 2)) {}

  // False when `same(position)` says that a slot of this key holds this very id.
  template <typename Same>
  bool insert(std::uint64_t key, std::uint64_t place, std::uint64_t offset, const Same& same) {
    for (;; ++place) {
      IdSlot& at = slots_[place & (slots_.size() - 1)];
      if (at.position == 0) {
        at = {key, offset + 1};
        return true;
      }
      if (at.key == key && same(at.position - 1)) return false;
    }
  }

  [[nodiscard]] std::span<const IdSlot> slots() const noexcept { return slots_; }

 private:
  std::vector<IdSlot> slots_;
};

void write_file(const std::string& path, const RowTag& tag, IdKind kind, std::uint64_t rows,
                std::span<const unsigned char> records, std::span<const IdSlot> slots) {
  RowStoreHeader header{};
  std::memcpy(header.magic, kRowStoreMagic, sizeof header.magic);
  header.version = kRowStoreVersion;
  header.id_kind = kind;
  header.tag = tag;
  header.rows = rows;
  header.records_offset = sizeof header;
  header.records_bytes = records.size();
  header.table_offset = align_up(sizeof header + records.size(), kTableAlignment);
  header.slots = slots.size();
  header.file_bytes = header.table_offset + slots.size_bytes();
  header.records_checksum = hash_bytes(records.data(), records.size());
  header.table_checksum = hash_bytes(slots.data(), slots.size_bytes());
  header.header_checksum = hash_bytes(&header, offsetof(RowStoreHeader, header_checksum));
  FileWriter file(path);
  file.write(&header, sizeof header);
  file.write(records.data(), records.size());
  file.pad_to(header.table_offset);
  file.write(slots.data(), slots.size_bytes());
  file.sync();
}

}  // namespace

void write_row_store(const std::string& path, const RowTag& tag, std::span<const std::int64_t> ids,
                     std::span<const unsigned char> rows, std::span<const std::int64_t> offsets) {
  IdTable table(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto key = static_cast<std::uint64_t>(ids[i]);
    const auto offset = static_cast<std::uint64_t>(offsets[i]);
    if (!table.insert(key, mix64(key), offset, [](std::uint64_t) { return true; }))
      throw InvalidInput("id " + std::to_string(ids[i]) + " is there twice (again at row " +
                         std::to_string(i) + "); ids must be unique");
  }
  write_file(path, tag, IdKind::int64, ids.size(), rows, table.slots());
}

void write_row_store(const std::string& path, const RowTag& tag,
                     std::span<const std::string_view> ids, std::span<const unsigned char> rows,
                     std::span<const std::int64_t> offsets) {
  std::uint64_t size = rows.size();
  for (const auto id : ids) size += string_id_bytes(id.size());
  std::vector<unsigned char> records(size);
  IdTable table(ids.size());
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string_view id = ids[i];
    const auto same = [&records, id](std::uint64_t offset) {
      return load<std::uint32_t>(records.data() + offset) == id.size() &&
             std::memcmp(records.data() + offset + 8, id.data(), id.size()) == 0;
    };
    const std::uint64_t key = hash_bytes(id.data(), id.size());
    if (!table.insert(key, key, at, same))
      throw InvalidInput("id '" + std::string(id) + "' is there twice (again at row " +
                         std::to_string(i) + "); ids must be unique");
    store(records.data() + at, static_cast<std::uint32_t>(id.size()));
    if (!id.empty()) std::memcpy(records.data() + at + 8, id.data(), id.size());
    at += string_id_bytes(id.size());
    const auto bytes = static_cast<std::size_t>(offsets[i + 1] - offsets[i]);
    if (bytes > 0) std::memcpy(records.data() + at, rows.data() + offsets[i], bytes);
    at += bytes;
  }
  write_file(path, tag, IdKind::string, ids.size(), records, table.slots());
}

}  // namespace friesian
