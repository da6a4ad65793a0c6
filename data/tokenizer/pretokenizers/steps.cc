#include "data/tokenizer/pretokenizers/steps.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/text/json_keys.h"
#include "data/tokenizer/pretokenizers/known_patterns.h"

namespace folio {
namespace {

using Json = nlohmann::json;

constexpr std::pair<const char*, SplitBehavior> behaviors[] = {
    {"Isolated", SplitBehavior::isolated},
    {"Removed", SplitBehavior::removed},
    {"MergedWithPrevious", SplitBehavior::merged_with_previous},
    {"MergedWithNext", SplitBehavior::merged_with_next},
    {"Contiguous", SplitBehavior::contiguous}};

class Reader {
 public:
  explicit Reader(const std::string& where) : where_(where) {}

  void add(const Json& json, int depth) {
    if (!json.is_object() || !json.contains("type") || !json["type"].is_string())
      fail("{} must be an object with a \"type\", got {}", where_, shown(json));
    check(steps_.empty() || !std::holds_alternative<ByteLevelStep>(steps_.back()),
          "{}: {} follows ByteLevel, which folio takes only as the last step", where_, shown(json));
    const std::string type = json["type"];
    if (type == "Sequence")
      add_sequence(json, depth);
    else if (type == "Split")
      steps_.emplace_back(split(json));
    else if (type == "Digits")
      steps_.emplace_back(digits(json));
    else if (type == "ByteLevel")
      steps_.emplace_back(byte_level(json));
    else
      fail(
          "{}: \"{}\" is not supported; folio cuts by Split, Digits and ByteLevel, alone or as a "
          "Sequence",
          where_, type);
  }

  PretokenizerSteps take() {
    check(!steps_.empty() && std::holds_alternative<ByteLevelStep>(steps_.back()),
          "{} must be, or end with, ByteLevel: folio reads byte-level tokenizers", where_);
    return std::move(steps_);
  }

 private:
  void add_sequence(const Json& json, int depth) {
    check_known(json, {"pretokenizers"});
    auto list = json.find("pretokenizers");
    if (list == json.end() || !list->is_array() || depth > 8)
      fail("{}: a Sequence needs an array of \"pretokenizers\", got {}", where_, shown(json));
    for (const Json& step : *list) add(step, depth + 1);
  }

  SplitStep split(const Json& json) {
    check_known(json, {"pattern", "behavior", "invert"});
    SplitStep step;
    auto pattern = json.find("pattern");
    bool whole = pattern != json.end() && pattern->is_object() && pattern->size() == 1 &&
                 pattern->begin()->is_string();
    std::string kind = whole ? pattern->begin().key() : "";
    if (kind != "Regex" && kind != "String")
      fail(R"({}: a Split needs {{"pattern": {{"Regex": "..."}}}}, or "String", got {})", where_,
           shown(json));
    step.is_regex = kind == "Regex";
    step.pattern = pattern->begin()->get<std::string>();
    auto behavior = json.find("behavior");
    bool known = false;
    for (const auto& [name, value] : behaviors)
      if (behavior != json.end() && *behavior == name) step.behavior = value, known = true;
    if (!known)
      fail(
          "{}: a Split's \"behavior\" must be Isolated, Removed, MergedWithPrevious, "
          "MergedWithNext or Contiguous, got {}",
          where_, shown(json));
    step.invert = truth(json, "invert", false);
    return step;
  }

  DigitsStep digits(const Json& json) {
    check_known(json, {"individual_digits"});
    return {truth(json, "individual_digits", false)};
  }

  ByteLevelStep byte_level(const Json& json) {
    check_known(json, {"add_prefix_space", "trim_offsets", "use_regex"});
    return {.add_prefix_space = truth(json, "add_prefix_space", true),
            .use_regex = truth(json, "use_regex", true)};
  }

  void check_known(const Json& json, std::vector<std::string_view> keys) {
    keys.emplace_back("type");
    check_keys(json, keys, where_);
  }

  bool truth(const Json& json, const char* key, bool otherwise) {
    auto found = json.find(key);
    if (found == json.end()) return otherwise;
    if (!found->is_boolean())
      fail("{}: \"{}\" must be true or false, got {}", where_, key, shown(*found));
    return found->get<bool>();
  }

  const std::string& where_;
  PretokenizerSteps steps_;
};

}  // namespace

PretokenizerSteps qwen_steps() {
  return {SplitStep{.pattern = std::string(qwen_pattern)}, ByteLevelStep{.use_regex = false}};
}

PretokenizerSteps read_steps(const Json& json, const std::string& where) {
  Reader reader(where);
  reader.add(json, 0);
  return reader.take();
}

nlohmann::ordered_json steps_json(const PretokenizerSteps& steps) {
  using Ordered = nlohmann::ordered_json;
  Ordered list = Ordered::array();
  for (const PretokenizerStep& step : steps) {
    if (const auto* split = std::get_if<SplitStep>(&step)) {
      const char* name = std::ranges::find(behaviors, split->behavior,
                                           &std::pair<const char*, SplitBehavior>::second)
                             ->first;
      list.push_back({{"type", "Split"},
                      {"pattern", {{split->is_regex ? "Regex" : "String", split->pattern}}},
                      {"behavior", name},
                      {"invert", split->invert}});
    } else if (const auto* digits = std::get_if<DigitsStep>(&step)) {
      list.push_back({{"type", "Digits"}, {"individual_digits", digits->individual_digits}});
    } else if (const auto* level = std::get_if<ByteLevelStep>(&step)) {
      list.push_back({{"type", "ByteLevel"},
                      {"add_prefix_space", level->add_prefix_space},
                      {"trim_offsets", true},
                      {"use_regex", level->use_regex}});
    }
  }
  if (list.size() == 1) return list[0];
  return {{"type", "Sequence"}, {"pretokenizers", list}};
}

}  // namespace folio
