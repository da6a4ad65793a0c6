#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace folio {

// One self-contained page: a UTF-8 file that works from file:// and asks the network for nothing,
// which a Content-Security-Policy in it says to the browser too. Texts of users reach it as its
// title and inside `data`, where they cannot become markup; a page's scripts show them by
// textContent.
struct Page {
  std::string title;  // any text
  std::string body;   // markup: of ours alone, or made with html_text
  // Names of web files (web_files.h), in order; base.css, text.js and figure.js come first unasked.
  std::vector<std::string> styles = {}, scripts = {};
  // What scripts read with pageData(id): a <script type="application/json"> each.
  std::vector<std::pair<std::string, nlohmann::ordered_json>> data = {};
};

// The file. Bytes of any text that are not UTF-8 become U+FFFD. Error for the name of no web file.
std::string to_html(const Page& page);

// A text as HTML's own text or the value of an attribute: <, >, &, " and ' escaped; a zero byte,
// which HTML cannot say, and bytes that are not UTF-8 become U+FFFD.
std::string html_text(std::string_view text);

// JSON that may stand in a <script>: ASCII alone, without <, > and &, so that nothing in it ends
// the element, and no U+2028 or U+2029 ends a line.
std::string script_json(const nlohmann::ordered_json& value);

// Numbers as scripts read them with arrayOf: {"shape": [...], "f32": base64 of little-endian f32}.
nlohmann::ordered_json array_json(std::span<const float> values, const std::vector<int64_t>& shape);

// RFC 4648's base64, with padding.
std::string base64(std::string_view bytes);

}  // namespace folio
