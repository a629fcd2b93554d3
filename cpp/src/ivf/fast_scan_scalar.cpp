#include <algorithm>

#include "ivf/fast_scan.hpp"

namespace friesian::kernels {

namespace {

std::int32_t saturated(std::int32_t value) { return std::clamp(value, -32768, 32767); }

}  // namespace

void fast_scan_scalar(const FastScanList& list, const std::uint8_t* codes,
                      const std::int16_t* norms, std::size_t blocks, const std::uint8_t*,
                      std::int16_t* out) {
  for (std::size_t block = 0; block < blocks; ++block, codes += list.quads * 64, out += 32)
    for (std::size_t v = 0; v < 32; ++v) {
      std::int32_t sum = 0;
      for (std::size_t j = 0; j < list.quads; ++j)
        for (std::size_t half = 0; half < 2; ++half) {
          const std::uint8_t* table = list.tables + j * kQuadTableBytes + half * 32;
          const unsigned code = codes[j * 64 + half * 32 + v];
          sum += table[code & 15] + table[64 + (code >> 4)];
        }
      sum = saturated(sum + list.bias);
      if (norms != nullptr)
        sum = saturated(
            sum - ((std::int32_t{norms[block * 32 + v]} * list.norm_scale + (1 << 14)) >> 15));
      out[v] = static_cast<std::int16_t>(std::max(sum, -32767));
    }
}

}  // namespace friesian::kernels
