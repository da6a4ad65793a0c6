#include "train/ranks/together.h"

#include <algorithm>

namespace folio {

void together(Communicator* ranks, const std::function<void()>& attempt) {
  if (!ranks || ranks->size() == 1) return attempt();
  std::string mine = "+";  // then what went wrong
  try {
    attempt();
  } catch (const std::exception& error) {
    mine = std::string("-") + error.what();
  }
  const std::vector<std::string> all = ranks->gather(mine);
  const auto failed = std::ranges::find_if(all, [](auto& text) { return text[0] == '-'; });
  if (failed == all.end()) return;
  const std::string message = failed->substr(1);
  if (std::ranges::all_of(all, [&](auto& text) { return text == *failed; })) fail("{}", message);
  fail("rank {}: {}", failed - all.begin(), message);
}

}  // namespace folio
