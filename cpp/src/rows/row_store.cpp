#include "rows/row_store.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "common/bytes.hpp"
#include "common/bytes_hash.hpp"
#include "common/error.hpp"

namespace friesian {

namespace {

// Lookups of a batch are done so many at a time: enough to hide the latency of memory, few enough
// for the rows fetched ahead to stay in the second-level cache.
constexpr std::size_t kBlock = 512;
constexpr std::size_t kMaxPrefetchBytes = 512;
constexpr std::uint64_t kSlotsPerLine = kCacheLine / sizeof(IdSlot);

std::uint64_t key_of(std::int64_t id) noexcept { return static_cast<std::uint64_t>(id); }
std::uint64_t key_of(std::string_view id) noexcept { return hash_bytes(id.data(), id.size()); }
std::uint64_t place_of(std::int64_t, std::uint64_t key) noexcept { return mix64(key); }
std::uint64_t place_of(std::string_view, std::uint64_t key) noexcept { return key; }

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw InvalidInput("row store " + path + ": " + what);
}

}  // namespace

std::uint64_t string_id_bytes(std::uint64_t id_bytes) noexcept {
  return align_up(8 + id_bytes, kRowAlignment);
}

RowStore::RowStore(const std::string& path, const RowTag& tag, IdKind id_kind, bool verify,
                   Residence residence)
    : file_(path, residence) {
  const auto bytes = file_.bytes();
  if (bytes.size() < sizeof header_)
    fail(path, "it has " + std::to_string(bytes.size()) +
                   " bytes, fewer than a header; it is not "
                   "a row store or is truncated");
  std::memcpy(&header_, bytes.data(), sizeof header_);
  check_layout(path);
  if (header_.id_kind != id_kind)
    fail(path, header_.id_kind == IdKind::int64 ? "its ids are int64, not strings"
                                                : "its ids are strings, not int64");
  if (header_.tag != tag)
    throw SchemaMismatch("row store " + path +
                         ": its row tag is another; it was written under another feature spec, "
                         "publish it again");
  records_ = bytes.data() + header_.records_offset;
  table_ = bytes.data() + header_.table_offset;
  if (verify && (hash_bytes(records_, header_.records_bytes) != header_.records_checksum ||
                 hash_bytes(table_, header_.slots * sizeof(IdSlot)) != header_.table_checksum))
    fail(path, "its checksum does not match; the file was altered");
  const std::uint64_t mean = header_.records_bytes / std::max<std::uint64_t>(header_.rows, 1);
  prefetch_bytes_ = std::min<std::size_t>(mean, kMaxPrefetchBytes);
}

void RowStore::check_layout(const std::string& path) const {
  const RowStoreHeader& h = header_;
  const std::uint64_t size = file_.bytes().size();
  if (std::memcmp(h.magic, kRowStoreMagic, sizeof h.magic) != 0)
    fail(path, "it does not begin with FRSNROWS; it is not a row store");
  if (h.version != kRowStoreVersion)
    fail(path, "it has version " + std::to_string(h.version) + "; this code reads version 1");
  if (hash_bytes(&h, offsetof(RowStoreHeader, header_checksum)) != h.header_checksum)
    fail(path, "the checksum of its header does not match; the file was altered");
  if (h.file_bytes != size)
    fail(path, "it has " + std::to_string(size) + " bytes, but its header says " +
                   std::to_string(h.file_bytes) + "; it is truncated");
  const bool records_fit = h.records_offset >= sizeof h && h.records_offset <= size &&
                           h.records_bytes <= size - h.records_offset;
  const bool table_fits = h.table_offset >= sizeof h && h.table_offset <= size &&
                          h.slots <= (size - h.table_offset) / sizeof(IdSlot);
  if (!records_fit || !table_fits || !std::has_single_bit(h.slots) || h.rows >= h.slots ||
      static_cast<std::uint32_t>(h.id_kind) > 1)
    fail(path, "the sections in its header do not fit the file");
}

IdSlot RowStore::slot_at(std::uint64_t place, std::uint64_t step) const noexcept {
  return load<IdSlot>(table_ + ((place + step) & (header_.slots - 1)) * sizeof(IdSlot));
}

void RowStore::prefetch_slot(std::uint64_t place, std::uint64_t step) const noexcept {
  prefetch(table_ + ((place + step) & (header_.slots - 1)) * sizeof(IdSlot), 1);
}

// Goes on from `step` to the first slot that holds the key or is empty, which ends the search; to
// `end` when neither comes before. So even a table without an empty place is not searched for ever.
RowStore::Probe RowStore::probe(std::uint64_t place, std::uint64_t key, std::uint64_t step,
                                std::uint64_t end) const noexcept {
  for (; step < end; ++step) {
    const IdSlot at = slot_at(place, step);
    if (at.position == 0) break;
    if (at.key == key && at.position <= header_.records_bytes) return {step, at.position};
  }
  return {step, 0};
}

// The row that begins at `offset` of the records; what its header says is cut to what is there,
// so that decoding finds the contradiction.
RowView RowStore::row_at(std::uint64_t offset) const noexcept {
  const unsigned char* row = records_ + offset;
  const std::uint64_t room = header_.records_bytes - offset;
  if (room < kRowHeaderBytes) return {row, static_cast<std::size_t>(room)};
  const auto length = load<std::uint32_t>(row + kRowLengthOffset);
  return {row, static_cast<std::size_t>(std::min<std::uint64_t>(length, room))};
}

RowView RowStore::match(std::int64_t, std::uint64_t offset) const noexcept {
  return row_at(offset);
}

// The string id in front of a row; empty when the record does not fit the file.
std::optional<std::string_view> RowStore::id_at(std::uint64_t offset) const noexcept {
  const std::uint64_t room = header_.records_bytes - offset;
  if (room < 8) return std::nullopt;
  const auto length = load<std::uint32_t>(records_ + offset);
  if (string_id_bytes(length) > room) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(records_ + offset + 8), length);
}

RowView RowStore::match(std::string_view id, std::uint64_t offset) const noexcept {
  return id_at(offset) == id ? row_at(offset + string_id_bytes(id.size())) : RowView{};
}

std::vector<IdSlot> RowStore::entries() const {
  std::vector<IdSlot> filled;
  for (std::uint64_t i = 0; i < header_.slots; ++i)
    if (const IdSlot at = slot_at(i, 0); at.position > 0 && at.position <= header_.records_bytes)
      filled.push_back(at);
  std::sort(filled.begin(), filled.end(),
            [](const IdSlot& a, const IdSlot& b) { return a.position < b.position; });
  return filled;
}

std::vector<std::int64_t> RowStore::int64_ids() const {
  std::vector<std::int64_t> ids;
  for (const IdSlot& at : entries()) ids.push_back(static_cast<std::int64_t>(at.key));
  return ids;
}

std::vector<std::string_view> RowStore::string_ids() const {
  std::vector<std::string_view> ids;
  for (const IdSlot& at : entries())
    if (const auto id = id_at(at.position - 1)) ids.push_back(*id);
  return ids;
}

template <typename Id>
void RowStore::fetch_slots(std::span<const Id> ids) const {
  for (const Id id : ids) prefetch_slot(place_of(id, key_of(id)), 0);
}

void RowStore::fetch_ahead(std::span<const std::int64_t> ids) const { fetch_slots(ids); }

void RowStore::fetch_ahead(std::span<const std::string_view> ids) const { fetch_slots(ids); }

// Passes over each block, so that the misses of many ids overlap: the places of the table, then the
// first record that may be the one, and only then what is in it. One search in seven goes on in
// the next line of the table; it waits until that line has come too, for a search that met the miss
// would hold up all behind it.
template <typename Id>
void RowStore::find_all(std::span<const Id> ids, std::span<RowView> rows) const {
  std::array<std::uint64_t, kBlock> keys;
  std::array<Probe, kBlock> probes;
  std::array<std::size_t, kBlock> unfinished;
  for (std::size_t first = 0; first < ids.size(); first += kBlock) {
    const std::size_t n = std::min(kBlock, ids.size() - first);
    const auto place = [&](std::size_t i) { return place_of(ids[first + i], keys[i]); };
    const auto go_on = [&](std::size_t i, std::uint64_t step, std::uint64_t end) {
      probes[i] = probe(place(i), keys[i], step, end);
      if (probes[i].position > 0) prefetch(records_ + probes[i].position - 1, prefetch_bytes_);
    };
    for (std::size_t i = 0; i < n; ++i) {
      keys[i] = key_of(ids[first + i]);
      prefetch_slot(place(i), 0);
    }
    std::size_t waiting = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint64_t line_end = kSlotsPerLine - place(i) % kSlotsPerLine;
      go_on(i, 0, std::min(line_end, header_.slots));
      if (probes[i].step < line_end) continue;
      prefetch_slot(place(i), line_end);
      unfinished[waiting++] = i;
    }
    for (const std::size_t i : std::span(unfinished).first(waiting))
      go_on(i, probes[i].step, header_.slots);
    for (std::size_t i = 0; i < n; ++i) {
      RowView& row = rows[first + i] = {};
      // Where it is found the search ends: the place behind it may be a miss of its own.
      for (Probe at = probes[i]; at.position > 0;
           at = probe(place(i), keys[i], at.step + 1, header_.slots)) {
        row = match(ids[first + i], at.position - 1);
        if (row.data != nullptr) break;
      }
    }
  }
}

void RowStore::find(std::span<const std::int64_t> ids, std::span<RowView> rows) const {
  find_all(ids, rows);
}

void RowStore::find(std::span<const std::string_view> ids, std::span<RowView> rows) const {
  find_all(ids, rows);
}

}  // namespace friesian
