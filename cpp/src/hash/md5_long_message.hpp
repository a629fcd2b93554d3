#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

// Cuts messages of any length into MD5 blocks, for the vector levels. An unnamed namespace on
// purpose: every instruction-set unit compiles its own copy.
namespace friesian {
namespace {

alignas(64) constexpr std::uint8_t kNoBlock[64] = {};

class LongMessage {
 public:
  void set(const std::uint8_t* bytes, std::uint32_t length) {
    bytes_ = bytes;
    whole_ = length / 64;
    const std::size_t left = length % 64;
    const std::size_t tail_blocks = left < 56 ? 1 : 2;
    blocks_ = whole_ + tail_blocks;
    std::memset(tail_, 0, sizeof tail_);
    if (left != 0) std::memcpy(tail_, bytes + whole_ * 64, left);
    tail_[left] = 0x80;
    const std::uint64_t bits = std::uint64_t{length} * 8;
    std::memcpy(tail_ + tail_blocks * 64 - 8, &bits, 8);
  }

  void clear() { blocks_ = whole_ = 0; }

  [[nodiscard]] std::size_t blocks() const { return blocks_; }

  [[nodiscard]] const std::uint8_t* block(std::size_t index) const {
    if (index < whole_) return bytes_ + index * 64;
    return index < blocks_ ? tail_ + (index - whole_) * 64 : kNoBlock;
  }

 private:
  const std::uint8_t* bytes_ = nullptr;
  std::size_t whole_ = 0;
  std::size_t blocks_ = 0;
  std::uint8_t tail_[128];
};

}  // namespace
}  // namespace friesian
