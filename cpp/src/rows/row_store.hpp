#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/mapped_file.hpp"
#include "rows/row_decode.hpp"
#include "rows/row_schema.hpp"

namespace friesian {

enum class IdKind : std::uint32_t { int64 = 0, string = 1 };

// The first bytes of a row store file, version 1.
struct RowStoreHeader {
  char magic[8];
  std::uint32_t version;
  IdKind id_kind;
  RowTag tag;
  std::uint64_t rows;
  std::uint64_t file_bytes;
  std::uint64_t records_offset;
  std::uint64_t records_bytes;
  std::uint64_t table_offset;
  std::uint64_t slots;
  std::uint64_t records_checksum;
  std::uint64_t table_checksum;
  std::uint64_t reserved[4];
  std::uint64_t header_checksum;
};
static_assert(sizeof(RowStoreHeader) == 128);

inline constexpr char kRowStoreMagic[8] = {'F', 'R', 'S', 'N', 'R', 'O', 'W', 'S'};
inline constexpr std::uint32_t kRowStoreVersion = 1;

// One place of the id table: the id itself or its hash, and 1 + where its record begins. All zero
// when empty. The place of a key is mix64(id) or the hash, modulo the slots, then the next ones.
struct IdSlot {
  std::uint64_t key;
  std::uint64_t position;
};

// Bytes that a string id takes in front of its row.
[[nodiscard]] std::uint64_t string_id_bytes(std::uint64_t id_bytes) noexcept;

// A file of packed rows, mapped or copied, found by id. Reading is safe from many threads at once,
// and with any bytes in the file: whatever is read from it is checked before it is followed.
class RowStore {
 public:
  // Throws InvalidInput, naming the path, when the file is no row store of this version, is
  // truncated or altered, or has other ids; SchemaMismatch when it was written with another tag;
  // std::system_error when it cannot be read. `verify` also reads the whole file for its checksums.
  RowStore(const std::string& path, const RowTag& tag, IdKind id_kind, bool verify,
           Residence residence = Residence::mapped);

  [[nodiscard]] IdKind id_kind() const noexcept { return header_.id_kind; }
  [[nodiscard]] std::uint64_t size() const noexcept { return header_.rows; }

  // Every id, in the order of the records.
  [[nodiscard]] std::vector<std::int64_t> int64_ids() const;
  [[nodiscard]] std::vector<std::string_view> string_ids() const;

  // Fetches where the search for these ids begins, for a `find` that follows shortly.
  void fetch_ahead(std::span<const std::int64_t> ids) const;
  void fetch_ahead(std::span<const std::string_view> ids) const;

  // rows[i] is the packed row of ids[i], with a null pointer when there is none.
  void find(std::span<const std::int64_t> ids, std::span<RowView> rows) const;
  void find(std::span<const std::string_view> ids, std::span<RowView> rows) const;

 private:
  // How far a search of the table came, and the position found there, 0 when none was.
  struct Probe {
    std::uint64_t step;
    std::uint64_t position;
  };

  void check_layout(const std::string& path) const;
  template <typename Id>
  void fetch_slots(std::span<const Id> ids) const;
  template <typename Id>
  void find_all(std::span<const Id> ids, std::span<RowView> rows) const;
  [[nodiscard]] std::vector<IdSlot> entries() const;
  [[nodiscard]] IdSlot slot_at(std::uint64_t place, std::uint64_t step) const noexcept;
  void prefetch_slot(std::uint64_t place, std::uint64_t step) const noexcept;
  [[nodiscard]] Probe probe(std::uint64_t place, std::uint64_t key, std::uint64_t step,
                            std::uint64_t end) const noexcept;
  [[nodiscard]] RowView row_at(std::uint64_t offset) const noexcept;
  [[nodiscard]] std::optional<std::string_view> id_at(std::uint64_t offset) const noexcept;
  [[nodiscard]] RowView match(std::int64_t id, std::uint64_t offset) const noexcept;
  [[nodiscard]] RowView match(std::string_view id, std::uint64_t offset) const noexcept;

  MappedFile file_;
  RowStoreHeader header_{};
  const unsigned char* records_ = nullptr;
  const unsigned char* table_ = nullptr;
  std::size_t prefetch_bytes_ = 0;
};

// Writes a new store at `path`, synced; the caller renames it into place. Row i is bytes
// [offsets[i], offsets[i + 1]) of `rows`. Throws InvalidInput, naming an id that is there twice.
void write_row_store(const std::string& path, const RowTag& tag, std::span<const std::int64_t> ids,
                     std::span<const unsigned char> rows, std::span<const std::int64_t> offsets);
void write_row_store(const std::string& path, const RowTag& tag,
                     std::span<const std::string_view> ids, std::span<const unsigned char> rows,
                     std::span<const std::int64_t> offsets);

}  // namespace friesian
