#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ivf/ivf_layout.hpp"

namespace friesian {

// Where in a layout an id stands: a hash table of positions, made once from the layout's ids. It
// keeps no ids of its own, so it has 8 to 16 bytes a vector; the layout must outlive it.
class IdPositions {
 public:
  // Throws InvalidInput when the text of an id lies outside the file.
  explicit IdPositions(const IvfLayout& layout);

  // out[i] = the position of ids[i], or kNoPosition. The ids must be of the layout's kind.
  void find(std::span<const std::int64_t> ids, std::uint32_t* out) const;
  void find(std::span<const std::string_view> ids, std::uint32_t* out) const;

  [[nodiscard]] bool string_ids() const noexcept { return layout_.string_ids(); }

 private:
  template <typename Id>
  void find_each(std::span<const Id> ids, std::uint32_t* out) const;

  const IvfLayout& layout_;
  std::vector<std::uint32_t> slots_;  // position + 1; 0 is free
};

}  // namespace friesian
