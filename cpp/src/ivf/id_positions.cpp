#include "ivf/id_positions.hpp"

#include <bit>

#include "common/bytes_hash.hpp"
#include "ivf/ivf_search.hpp"

namespace friesian {

namespace {

std::uint64_t place_of(std::int64_t id) noexcept { return mix64(static_cast<std::uint64_t>(id)); }
std::uint64_t place_of(std::string_view id) noexcept { return hash_bytes(id.data(), id.size()); }

bool stands_at(const IvfLayout& layout, std::size_t position, std::int64_t id) {
  return layout.id(position) == id;
}
bool stands_at(const IvfLayout& layout, std::size_t position, std::string_view id) {
  return layout.string_id(position) == id;
}

}  // namespace

IdPositions::IdPositions(const IvfLayout& layout)
    : layout_(layout), slots_(std::bit_ceil(2 * layout.size() + 1)) {
  for (std::size_t position = 0; position < layout.size(); ++position) {
    std::uint64_t at =
        layout.string_ids() ? place_of(layout.string_id(position)) : place_of(layout.id(position));
    while (slots_[at & (slots_.size() - 1)] != 0) ++at;
    slots_[at & (slots_.size() - 1)] = static_cast<std::uint32_t>(position + 1);
  }
}

// At most half of the slots are taken, so every chain ends.
template <typename Id>
void IdPositions::find_each(std::span<const Id> ids, std::uint32_t* out) const {
  for (const Id id : ids) {
    std::uint64_t at = place_of(id);
    std::uint32_t slot = 0;
    while ((slot = slots_[at & (slots_.size() - 1)]) != 0 && !stands_at(layout_, slot - 1, id))
      ++at;
    *out++ = slot == 0 ? kNoPosition : slot - 1;
  }
}

void IdPositions::find(std::span<const std::int64_t> ids, std::uint32_t* out) const {
  find_each(ids, out);
}

void IdPositions::find(std::span<const std::string_view> ids, std::uint32_t* out) const {
  find_each(ids, out);
}

}  // namespace friesian
