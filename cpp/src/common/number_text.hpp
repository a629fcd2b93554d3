#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace friesian {

// python: str(x). spark: a cast to string, which is Java's String.valueOf (JDK 19 and later for
// doubles). They differ on booleans and on floats.
enum class TextStyle { python, spark };

// No number needs more characters than this.
inline constexpr std::size_t kNumberTextSize = 32;
using NumberText = std::span<char, kNumberTextSize>;

// Each writes the text to the front of `out` and returns its length.
[[nodiscard]] std::size_t write_integer(std::int64_t value, NumberText out) noexcept;
[[nodiscard]] std::size_t write_integer(std::uint64_t value, NumberText out) noexcept;
[[nodiscard]] std::size_t write_boolean(bool value, TextStyle style, NumberText out) noexcept;
[[nodiscard]] std::size_t write_double(double value, TextStyle style, NumberText out) noexcept;

}  // namespace friesian
