#include "http/plain_request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

namespace friesian {

namespace {

constexpr std::size_t kUserCharacters = 64;
constexpr std::size_t kUserDigits = 18;  // what surely fits
constexpr std::size_t kDigits = 3;
constexpr int kHeaders = 32;
constexpr std::array<std::string_view, 6> kTelling = {
    "connection", "content-length", "transfer-encoding", "expect", "upgrade", "x-request-id"};

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_printed(char c) { return c >= ' ' && c <= '~'; }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr bool is_of_name(char c) {
  return is_digit(c) || c == '-' || (lower(c) >= 'a' && lower(c) <= 'z');
}
constexpr bool is_of_user(char c) { return is_of_name(c) || c == '_'; }

bool is_telling(std::string_view name) {
  return std::any_of(kTelling.begin(), kTelling.end(), [name](std::string_view one) {
    return std::equal(name.begin(), name.end(), one.begin(), one.end(),
                      [](char a, char b) { return lower(a) == b; });
  });
}

template <typename Number>
std::optional<Number> number_of(std::string_view digits, std::size_t most) {
  if (digits.empty() || digits.size() > most ||
      !std::all_of(digits.begin(), digits.end(), is_digit))
    return std::nullopt;
  Number number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

class Reader {
 public:
  explicit Reader(std::string_view data) : rest_(data) {}

  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  template <typename Predicate>
  std::string_view take_while(Predicate belongs) {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), belongs);
    const std::string_view taken(rest_.begin(), end);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::optional<int> take_number() { return number_of<int>(take_while(is_digit), kDigits); }

  bool take_header() {
    const std::string_view name = take_while(is_of_name);
    if (name.empty() || is_telling(name) || !take(":")) return false;
    take_while(is_printed);
    return take("\r\n");
  }

  // The empty line after the headers, and nothing behind it.
  [[nodiscard]] bool is_at_end() const { return rest_ == "\r\n"; }

 private:
  std::string_view rest_;
};

}  // namespace

std::optional<PlainRequest> plain_request(std::string_view data, bool numbered) {
  Reader reader(data);
  if (!reader.take("GET /recommender/recommend/")) return std::nullopt;
  const std::string_view user = reader.take_while(is_of_user);
  if (user.empty() || user.size() > kUserCharacters || !reader.take("?k=")) return std::nullopt;
  std::optional<std::int64_t> number = 0;
  if (numbered && !(number = number_of<std::int64_t>(user, kUserDigits))) return std::nullopt;
  const std::optional<int> k = reader.take_number();
  if (!k) return std::nullopt;
  std::optional<int> candidates;
  if (reader.take("&canK=") && !(candidates = reader.take_number())) return std::nullopt;
  if (!reader.take(" HTTP/1.1\r\n")) return std::nullopt;
  for (int headers = 0; !reader.is_at_end(); ++headers)
    if (headers == kHeaders || !reader.take_header()) return std::nullopt;
  return PlainRequest{user, *number, *k, candidates};
}

}  // namespace friesian
