#pragma once
#include "common/bytes.hpp"

namespace friesian {

// Four lanes in one baseline register.
using FourWords [[gnu::vector_size(16)]] = std::uint32_t;

// What memcpy and memset do, for the few dozen bytes of a list: calling them takes longer. Whole
// registers, the last of which overlaps the one before; `bytes` is a multiple of 4.
inline void copy_short(unsigned char* to, const unsigned char* from, std::size_t bytes) {
  if (bytes < sizeof(FourWords)) {
    for (std::size_t i = 0; i < bytes; i += 4) store(to + i, load<std::uint32_t>(from + i));
    return;
  }
  const std::size_t last = bytes - sizeof(FourWords);
  std::size_t i = 0;
  for (; i + sizeof(FourWords) < last; i += 2 * sizeof(FourWords)) {
    store(to + i, load<FourWords>(from + i));
    store(to + i + sizeof(FourWords), load<FourWords>(from + i + sizeof(FourWords)));
  }
  if (i < last) store(to + i, load<FourWords>(from + i));
  store(to + last, load<FourWords>(from + last));
}

inline void clear_short(unsigned char* to, std::size_t bytes) {
  if (bytes < sizeof(FourWords)) {
    for (std::size_t i = 0; i < bytes; i += 4) store(to + i, std::uint32_t{0});
    return;
  }
  const std::size_t last = bytes - sizeof(FourWords);
  for (std::size_t i = 0; i < last; i += sizeof(FourWords)) store(to + i, FourWords{});
  store(to + last, FourWords{});
}

}  // namespace friesian
