#pragma once
#include <cstddef>
#include <string_view>

namespace friesian {

// Calls `token` on the pieces of `text` between separators, as Java's String.split cuts: trailing
// empty pieces are left out, but an empty text is itself one empty piece. The separator is literal
// and not empty.
template <typename Token>
void split_java(std::string_view text, std::string_view separator, const Token& token) {
  if (text.empty()) {
    token(text);
    return;
  }
  std::size_t held_back = 0;  // empty pieces that count only if a piece that is not empty follows
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t end = text.find(separator, begin);
    if (end == std::string_view::npos) end = text.size();
    if (end == begin) {
      ++held_back;
    } else {
      for (; held_back > 0; --held_back) token(std::string_view());
      token(text.substr(begin, end - begin));
    }
    begin = end + separator.size();
    if (end == text.size()) break;
  }
}

}  // namespace friesian
