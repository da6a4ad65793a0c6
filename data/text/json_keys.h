#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

namespace folio {

// Throws Error, "WHERE: "KEY" is not a key that folio knows", with the known one that it resembles,
// for a key that is not among `known`: nobody can say what it changes. A key that starts with "_"
// is a note that no library acts on.
void check_key(std::string_view key, std::span<const std::string_view> known,
               std::string_view where);

// All keys of an object, nlohmann::json or ordered_json.
template <class Json>
void check_keys(const Json& object, std::span<const std::string_view> known,
                std::string_view where) {
  for (const auto& [key, value] : object.items()) check_key(key, known, where);
}

// The start of a value, for a message.
template <class Json>
std::string shown(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80);
}

}  // namespace folio
