#pragma once
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstringop-overflow"  // false alarm of GCC 12 in fmt 9
#include <fmt/format.h>
#pragma GCC diagnostic pop

#include <stdexcept>
#include <string>
#include <utility>

namespace folio {

// What folio throws for anything a caller or user can get wrong. The message says what was wrong,
// what was expected and what to do; `main` prints it after "folio: " and exits 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) {
  throw Error(fmt::format(message, std::forward<Args>(args)...));
}

// Throws Error with the formatted message unless `ok`.
template <class... Args>
void check(bool ok, fmt::format_string<Args...> message, Args&&... args) {
  if (!ok) [[unlikely]]
    fail(message, std::forward<Args>(args)...);
}

}  // namespace folio
