#pragma once
#include <optional>
#include <string_view>

namespace friesian {

// A request for recommendations as clients send it as a rule.
struct PlainRequest {
  std::string_view user;
  int k;
  std::optional<int> candidates;
};

// Nothing unless `data` is exactly one whole GET request for recommendations, with whole numbers of
// at most three digits, without a body and without a header that changes what the answer is.
[[nodiscard]] std::optional<PlainRequest> plain_request(std::string_view data);

}  // namespace friesian
