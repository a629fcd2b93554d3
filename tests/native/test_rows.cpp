#include <algorithm>
#include <cstring>
#include <numeric>

#include "check.hpp"
#include "common/error.hpp"
#include "levels_and_numbers.hpp"
#include "rows/row_checksum.hpp"
#include "rows/row_decode.hpp"
#include "rows/row_encode.hpp"
#include "rows/row_store.hpp"

using namespace friesian;

namespace {

constexpr RowTag kTag{'n', 'a', 't', 'i', 'v', 'e', '.', '.'};

RowSchema make_schema() {
  return RowSchema({{"a", ElementType::int32, ColumnKind::scalar, 1},
                    {"b", ElementType::float64, ColumnKind::scalar, 1},
                    {"c", ElementType::float32, ColumnKind::fixed, 3},
                    {"d", ElementType::int64, ColumnKind::list, 4},
                    {"e", ElementType::int32, ColumnKind::list, 5}},
                   kTag);
}

// n rows whose lists are of every allowed length in turn.
PackedRows make_rows(const RowSchema& schema, std::int64_t n) {
  Bytes values(static_cast<std::size_t>(n + 1) * 64);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<unsigned char>(i * 7);
  std::vector<std::int32_t> offsets32{0};
  std::vector<std::int64_t> offsets64{0};
  for (std::int64_t i = 0; i < n; ++i) {
    offsets64.push_back(offsets64.back() + i % 5);
    offsets32.push_back(offsets32.back() + static_cast<std::int32_t>(i % 6));
  }
  std::vector<ColumnInput> columns(schema.columns().size());
  for (auto& column : columns) column.values = values.data();
  columns[2].step = 3;
  columns[3].offsets64 = offsets64.data();
  columns[4].offsets32 = offsets32.data();
  return encode_rows(schema, columns, n);
}

// Room for n decoded rows, each column its own allocation of exactly the size.
struct Room {
  std::vector<Bytes> columns;
  std::vector<unsigned char*> pointers;

  Room(const RowSchema& schema, std::size_t n) {
    for (std::size_t i = 0; i < schema.columns().size(); ++i)
      columns.emplace_back(n * schema.decoded_bytes(i));
    for (auto& column : columns) pointers.push_back(column.data());
  }
};

bool decodes(const RowSchema& schema, const Bytes& row, RowOrigin origin = RowOrigin::outside) {
  Room room(schema, 1);
  const RowView view{row.data(), row.size()};
  try {
    RowDecoder(schema).decode({&view, 1}, room.pointers, origin);
    return true;
  } catch (const RowFault& fault) {
    CHECK(fault.position == 0);
    return false;
  }
}

void decode_damaged_rows() {
  const RowSchema schema = make_schema();
  const PackedRows rows = make_rows(schema, 30);
  for (std::size_t i = 0; i + 1 < rows.offsets.size(); ++i) {
    const Bytes row(rows.buffer.begin() + rows.offsets[i],
                    rows.buffer.begin() + rows.offsets[i + 1]);
    CHECK(decodes(schema, row));
    for (std::size_t size = 1; size < row.size(); ++size)
      CHECK(!decodes(schema, Bytes(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(size))));
    for (std::size_t bit = 0; bit < 8 * row.size(); ++bit) {
      Bytes damaged(row);
      damaged[bit / 8] = static_cast<unsigned char>(damaged[bit / 8] ^ (1u << (bit % 8)));
      CHECK(!decodes(schema, damaged));
    }
    for (int turn = 0; turn < 300; ++turn) {
      const Bytes damaged = flipped(row, 1 + turn % 4);
      CHECK(damaged == row || !decodes(schema, damaged));
      (void)decodes(schema, damaged, RowOrigin::store);
    }
  }
  for (int turn = 0; turn < 20000; ++turn) {
    Bytes noise(1 + random_below(160));
    for (auto& byte : noise)
      byte = static_cast<unsigned char>(random_below(turn % 2 == 0 ? 256 : 6));
    if (noise.size() >= 16 && turn % 4 != 0) {  // past the header, so that counts are reached
      std::memcpy(noise.data(), kTag.data(), kTag.size());
      const std::uint32_t header[2] = {kRowVersion, static_cast<std::uint32_t>(noise.size())};
      std::memcpy(noise.data() + 8, header, sizeof header);
      const RowView row{noise.data(), noise.size()};
      std::uint64_t checksum = 0;
      kernels::row_checksums_scalar(&row, 1, &checksum);
      store(noise.data() + 8, row_header(noise.data()) | checksum);
    }
    (void)decodes(schema, noise);
  }
}

// Rows of every length up to three stripes, each an allocation of its own, at every level.
void checksum_rows() {
  std::vector<Bytes> bytes;
  for (std::size_t size = kRowHeaderBytes; size < 8 * 3 * kRowKeys; ++size) {
    bytes.emplace_back(size);
    for (auto& byte : bytes.back()) byte = static_cast<unsigned char>(random_below(256));
  }
  std::vector<RowView> rows;
  for (const Bytes& row : bytes) rows.push_back({row.data(), row.size()});
  std::vector<std::uint64_t> want(rows.size());
  kernels::row_checksums_scalar(rows.data(), rows.size(), want.data());
  for (const SimdLevel level : runnable_levels()) {
    std::vector<std::uint64_t> got(rows.size());
    row_checksums_kernel(level)(rows.data(), rows.size(), got.data());
    CHECK(got == want);
  }
  CHECK(std::all_of(want.begin(), want.end(),
                    [](std::uint64_t sum) { return (sum & ~kRowChecksumBits) == 0; }));
}

// Tiles at the very end of rows, each an allocation of its own, into columns of exactly the size.
void turn_rows() {
  for (std::size_t n = 0; n <= 4 * kTile; n += kTile)
    for (const SimdLevel level : runnable_levels()) {
      std::vector<Bytes> bytes(n, Bytes(4 + 4 * kTile));
      std::vector<RowView> rows;
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t word = 0; word < kTile; ++word)
          store(bytes[i].data() + 4 + 4 * word, static_cast<std::uint32_t>(100 * i + word));
        rows.push_back({bytes[i].data(), bytes[i].size()});
      }
      std::vector<std::vector<std::uint32_t>> columns(kTile, std::vector<std::uint32_t>(n));
      std::vector<unsigned char*> to;
      for (auto& column : columns) to.push_back(reinterpret_cast<unsigned char*>(column.data()));
      row_turn_kernel(level)(rows.data(), n, 4, to.data());
      for (std::size_t word = 0; word < kTile; ++word)
        for (std::size_t i = 0; i < n; ++i) CHECK(columns[word][i] == 100 * i + word);
    }
}

// Some of the columns, lists skipped among them, are what they are among all.
void decode_some_columns() {
  const RowSchema schema = make_schema();
  const PackedRows rows = make_rows(schema, 70);
  std::vector<RowView> views;
  for (std::size_t i = 0; i + 1 < rows.offsets.size(); ++i)
    views.push_back({rows.buffer.data() + rows.offsets[i],
                     static_cast<std::size_t>(rows.offsets[i + 1] - rows.offsets[i])});
  views[5] = {};
  Room all(schema, views.size());
  RowDecoder(schema).decode(views, all.pointers, RowOrigin::outside);
  for (unsigned chosen = 0; chosen < 32; ++chosen) {
    std::vector<std::uint32_t> columns;
    for (std::uint32_t c = 5; c-- > 0;)
      if ((chosen >> c) & 1) columns.push_back(c);
    std::vector<Bytes> some;
    std::vector<unsigned char*> pointers;
    for (const std::uint32_t c : columns) some.emplace_back(all.columns[c].size(), 0xEE);
    for (auto& column : some) pointers.push_back(column.data());
    RowDecoder(schema, columns).decode(views, pointers, RowOrigin::outside);
    for (std::size_t i = 0; i < columns.size(); ++i) CHECK(some[i] == all.columns[columns[i]]);
  }
}

// Scalars around the eight that are turned together, some of them skipped, and a list around the
// width of a register, for numbers of rows around a tile's and a block's.
void decode_scalars_side_by_side(SimdLevel level) {
  for (std::uint32_t scalars = 1; scalars <= 17; ++scalars)
    for (std::int64_t n = 0; n <= 18; ++n) {
      std::vector<ColumnSpec> specs(scalars, {"", ElementType::int32, ColumnKind::scalar, 1});
      specs.push_back({"list", ElementType::int32, ColumnKind::list, 9});
      for (std::size_t c = 0; c < specs.size(); ++c) specs[c].name = std::to_string(c);
      const RowSchema schema(specs, kTag);
      std::vector<std::int32_t> values(400);
      std::iota(values.begin(), values.end(), 1);
      std::vector<std::int64_t> ends{0};
      for (std::int64_t i = 0; i < n; ++i) ends.push_back(ends.back() + i % 10);
      std::vector<ColumnInput> inputs(specs.size());
      const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
      for (std::uint32_t c = 0; c < scalars; ++c) inputs[c].values = bytes + c * 40;
      inputs.back().values = bytes;
      inputs.back().offsets64 = ends.data();
      const PackedRows rows = encode_rows(schema, inputs, n);
      std::vector<RowView> views;
      for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
        views.push_back({rows.buffer.data() + rows.offsets[i],
                         static_cast<std::size_t>(rows.offsets[i + 1] - rows.offsets[i])});
      for (std::uint32_t skipped = 0; skipped <= scalars; ++skipped) {
        std::vector<std::uint32_t> columns;
        for (std::uint32_t c = 0; c < specs.size(); ++c)
          if (c != skipped) columns.push_back(c);
        std::vector<std::vector<std::int32_t>> got;
        std::vector<unsigned char*> pointers;
        for (const std::uint32_t c : columns)
          got.emplace_back(views.size() * (c == scalars ? 9 : 1), -1);
        for (auto& column : got)
          pointers.push_back(reinterpret_cast<unsigned char*>(column.data()));
        RowDecoder(schema, columns, level).decode(views, pointers, RowOrigin::outside);
        for (std::size_t at = 0; at < columns.size(); ++at)
          for (std::size_t i = 0; i < got[at].size(); ++i) {
            const std::size_t row = i / 9, place = i % 9;
            const std::int32_t want =
                columns[at] < scalars ? static_cast<std::int32_t>(columns[at] * 10 + i + 1)
                : place < row % 10    ? values[static_cast<std::size_t>(ends[row]) + place]
                                      : 0;
            CHECK(got[at][i] == want);
          }
      }
    }
}

// Opens the file and reads everything from it, whatever it holds.
template <typename Id>
void read_store(const std::string& path, IdKind kind, const std::vector<Id>& ids) {
  try {
    const RowSchema schema = make_schema();
    const RowStore store(path, schema.tag(), kind, false);
    std::vector<RowView> views(ids.size());
    store.fetch_ahead(std::span<const Id>(ids));
    store.find(std::span<const Id>(ids), views);
    Room room(schema, ids.size());
    if constexpr (std::is_same_v<Id, std::int64_t>)
      CHECK(store.int64_ids().size() < 1000);
    else
      CHECK(store.string_ids().size() < 1000);
    RowDecoder(schema).decode(views, room.pointers, RowOrigin::store);
  } catch (const RowFault&) {
  } catch (const InvalidInput&) {
  } catch (const SchemaMismatch&) {
  }
}

template <typename Id>
void open_damaged_stores(IdKind kind, const std::vector<Id>& ids) {
  const TemporaryFile file;
  const PackedRows rows = make_rows(make_schema(), static_cast<std::int64_t>(ids.size()));
  write_row_store(file.path(), kTag, std::span<const Id>(ids), rows.buffer, rows.offsets);
  const RowSchema schema = make_schema();
  for (const Residence residence : {Residence::mapped, Residence::huge_pages}) {
    const RowStore sound(file.path(), kTag, kind, true, residence);
    std::vector<RowView> views(ids.size());
    sound.find(std::span<const Id>(ids), views);
    CHECK(std::all_of(views.begin(), views.end(), [](RowView row) { return row.data != nullptr; }));
    Room room(schema, ids.size());
    RowDecoder(schema).decode(views, room.pointers, RowOrigin::store);
  }
  const Bytes bytes = file.read();
  for (std::size_t size = 0; size < bytes.size(); size += 1 + random_below(8)) {
    file.write(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)));
    read_store(file.path(), kind, ids);
  }
  for (int turn = 0; turn < 3000; ++turn) {
    Bytes damaged = flipped(bytes, 1 + turn % 16);
    std::copy_n(bytes.begin(), sizeof(RowStoreHeader), damaged.begin());  // else it is not opened
    file.write(damaged);
    read_store(file.path(), kind, ids);
  }
}

}  // namespace

void test_rows() {
  decode_damaged_rows();
  decode_some_columns();
  for (const SimdLevel level : runnable_levels()) decode_scalars_side_by_side(level);
  checksum_rows();
  turn_rows();
  open_damaged_stores<std::int64_t>(IdKind::int64, {0, -1, 5, 1 << 30, 77, 78, 79, 80});
  open_damaged_stores<std::string_view>(IdKind::string, {"", "b", "cc", "an id of some length"});
}
