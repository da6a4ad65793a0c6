#include "data/corpus/json_lines.h"

#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/text/parse_json.h"

namespace folio {
namespace {

std::string_view without_mark(std::string_view line) {
  constexpr std::string_view mark = "\xef\xbb\xbf";
  return line.starts_with(mark) ? line.substr(mark.size()) : line;
}

}  // namespace

bool is_json_lines(const std::string& path) {
  return path.ends_with(".jsonl") || path.ends_with(".ndjson");
}

bool is_blank(std::string_view line) {
  return without_mark(line).find_first_not_of(" \t\r\n") == line.npos;
}

std::string document_of(std::string_view line) {
  auto json = parse_json<nlohmann::json>(without_mark(line), "the line");
  check(json.is_object(), "not a JSON object with a \"text\"");
  auto text = json.find("text");
  check(text != json.end(), "has no \"text\"");
  check(text->is_string(), "its \"text\" is no string");
  return text->get<std::string>();
}

}  // namespace folio
