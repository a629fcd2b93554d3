#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace friesian {

// A request for recommendations as clients send it as a rule.
struct PlainRequest {
  std::string_view user;
  std::int64_t number;  // the user's, where ids are numbers
  int k;
  std::optional<int> candidates;
};

// Nothing unless `data` is exactly one whole GET request for recommendations, with whole numbers of
// at most three digits, without a body and without a header that changes what the answer is; and
// where ids are numbers, that of a user of at most 18 digits.
[[nodiscard]] std::optional<PlainRequest> plain_request(std::string_view data, bool numbered);

}  // namespace friesian
