#include "data/corpus/left_out.h"

#include <fmt/ranges.h>

#include "core/check.h"
#include "core/text/numbers.h"

namespace folio {

void LeftOut::add(const std::string& name, const std::string& why) {
  constexpr size_t named = 5;
  std::string text = fmt::format("{}: {}", name, why);
  check(!strict_, "{}; --strict takes no corpus with such a {}", text, noun_);
  ++count_;
  if (first_.size() < named) first_.push_back(std::move(text));
}

std::string LeftOut::in_words() const {
  int64_t more = count_ - int64_t(first_.size());
  return fmt::format("{} {}{} left out: {}{}", with_commas(count_), noun_, count_ == 1 ? "" : "s",
                     fmt::join(first_, "; "),
                     more > 0 ? fmt::format("; and {} more", with_commas(more)) : "");
}

}  // namespace folio
