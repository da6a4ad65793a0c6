#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace folio {

// A config.json of Hugging Face's, key by key. A key that is absent or null has the default of
// transformers' class. Errors name the file, the key, or its path in an object that lies within
// ("rope_scaling.factor"), and its value.
class ConfigReader {
 public:
  using Json = nlohmann::ordered_json;
  // A key's other name, which says the same.
  using Aliases = std::span<const std::pair<std::string_view, std::string_view>>;

  // Throws Error for a file that is not a JSON object. `model` is what messages call the class,
  // "GPT-2".
  ConfigReader(const std::string& path, std::string model, Aliases aliases = {});

  const std::string& path() const { return path_; }
  // Null for a key that is absent or null.
  const Json* find(std::string_view key) const;
  // The object under `key`; none if it is absent or null.
  std::optional<ConfigReader> object(std::string_view key) const;

  bool is_null(std::string_view key) const;
  // By its name, or by its alias; both at once must agree. A whole number, `least` or more.
  int64_t size(std::string_view key, int64_t otherwise, int64_t least = 1) const;
  double number(std::string_view key, double otherwise) const;  // finite
  bool truth(std::string_view key, bool otherwise) const;
  std::string text(std::string_view key, const std::string& otherwise = "") const;

  // Refuses a model in which `key` has another value than the one that folio computes with.
  void require(std::string_view key, const Json& value) const;
  // Refuses a model that has `key` at all: it stands for another model, or for other files.
  void require_none(std::string_view key) const;
  // Refuses a model for what it says under `key`, which the file has, and gives the `reason`.
  [[noreturn]] void refuse(std::string_view key, const std::string& reason) const;
  // Refuses keys that are neither among `known` nor among those that change nothing of what a model
  // computes: of training, storage, and transformers' generate().
  void check_all_known(std::span<const std::string_view> known) const;

 private:
  ConfigReader(const ConfigReader& outer, std::string_view key, Json json);
  std::optional<int64_t> stated_size(std::string_view key, int64_t least) const;

  std::string path_, model_, prefix_;
  Aliases aliases_;
  Json json_;
};

}  // namespace folio
