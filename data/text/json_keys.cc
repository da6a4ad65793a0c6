#include "data/text/json_keys.h"

#include <algorithm>
#include <vector>

#include "core/check.h"
#include "core/text/nearest.h"

namespace folio {

void check_key(std::string_view key, std::span<const std::string_view> known,
               std::string_view where) {
  if (key.starts_with('_') || std::ranges::find(known, key) != known.end()) return;
  std::vector<std::string> candidates(known.begin(), known.end());
  std::string meant = nearest(key, candidates);
  fail(
      "{}: \"{}\" is not a key that folio knows{}, so it cannot tell what the key changes; if it "
      "changes nothing that folio computes, take it out of the file",
      where, key.substr(0, 80), meant.empty() ? "" : fmt::format(" (is it \"{}\"?)", meant));
}

}  // namespace folio
