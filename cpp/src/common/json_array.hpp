#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace friesian {

// The numbers as a JSON array: "[1, 2]". A float is the shortest decimal that reads back as the
// same 32 bits, always with a point or an exponent; what is not finite, which JSON lacks, is null.
[[nodiscard]] std::string json_array(std::span<const float> values);
[[nodiscard]] std::string json_array(std::span<const std::int64_t> values);

}  // namespace friesian
