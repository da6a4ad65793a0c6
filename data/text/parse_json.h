#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/check.h"

namespace folio {

// Throws Error, "NAME: not JSON that folio reads: ...", for a text that nests arrays and objects
// more than 100 deep: whatever copies, compares or prints such a value calls itself for each level.
void check_json_depth(std::string_view text, std::string_view name);

// The text, of a file that anybody may have written, as nlohmann::json or ordered_json. Throws
// Error that begins with `name` for what is not JSON.
template <class Json>
Json parse_json(std::string_view text, std::string_view name) {
  check_json_depth(text, name);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail("{}: not JSON: {}", name, error.what());
  }
}

}  // namespace folio
