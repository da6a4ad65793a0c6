#include "inspect/page/page.h"

#include <bit>
#include <cstring>

#include "core/check.h"
#include "data/text/utf8_stream.h"
#include "inspect/page/web_files.h"

namespace folio {
namespace {

constexpr std::string_view policy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'";

void append_element(std::string& html, std::string_view open, std::string_view contents,
                    std::string_view close) {
  html.append(open).append(contents).append(close).append("\n");
}

}  // namespace

std::string_view web_file(std::string_view name) {
  for (const EmbeddedFile& file : web_files())
    if (file.name == name) return file.contents;
  fail("{}: there is no such file in inspect/web", name);
}

std::string html_text(std::string_view text) {
  Utf8Stream characters;
  std::string whole = characters.push(text);
  whole += characters.finish();
  std::string html;
  for (char c : whole) {
    switch (c) {
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '&':
        html += "&amp;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      case '\0':
        html += "\uFFFD";
        break;
      default:
        html += c;
    }
  }
  return html;
}

std::string script_json(const nlohmann::ordered_json& value) {
  const std::string json =
      value.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
  std::string safe;
  safe.reserve(json.size());
  for (size_t begin = 0; begin < json.size();) {  // outside of strings JSON has none of the three
    const size_t end = std::min(json.find_first_of("<>&", begin), json.size());
    safe.append(json, begin, end - begin);
    if (end < json.size()) safe += fmt::format("\\u{:04x}", json[end]);
    begin = end + 1;
  }
  return safe;
}

nlohmann::ordered_json array_json(std::span<const float> values,
                                  const std::vector<int64_t>& shape) {
  static_assert(std::endian::native == std::endian::little);
  return {{"shape", shape},
          {"f32", base64({reinterpret_cast<const char*>(values.data()), values.size_bytes()})}};
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text((bytes.size() + 2) / 3 * 4, '=');
  auto byte = [&](size_t i) { return i < bytes.size() ? uint32_t(uint8_t(bytes[i])) : 0; };
  for (size_t from = 0, to = 0; from < bytes.size(); from += 3, to += 4) {
    const uint32_t bits = byte(from) << 16 | byte(from + 1) << 8 | byte(from + 2);
    const size_t written = std::min<size_t>(bytes.size() - from, 3) + 1;
    for (size_t i = 0; i < written; ++i) text[to + i] = digits[bits >> (18 - 6 * i) & 63];
  }
  return text;
}

std::string to_html(const Page& page) {
  std::string html = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  append_element(html, "<meta http-equiv=\"Content-Security-Policy\" content=\"", policy, "\">");
  html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  html += "<meta name=\"color-scheme\" content=\"light dark\">\n";
  append_element(html, "<title>", html_text(page.title), "</title>");
  append_element(html, "<style>\n", web_file("base.css"), "</style>");
  for (const std::string& name : page.styles)
    append_element(html, "<style>\n", web_file(name), "</style>");
  html += "</head>\n<body>\n";
  html += page.body;
  html += "\n";
  for (const auto& [id, value] : page.data)
    append_element(html, fmt::format("<script type=\"application/json\" id=\"{}\">", html_text(id)),
                   script_json(value), "</script>");
  for (std::string_view name : {"text.js", "figure.js"})
    append_element(html, "<script>\n", web_file(name), "</script>");
  for (const std::string& name : page.scripts)
    append_element(html, "<script>\n", web_file(name), "</script>");
  html += "</body>\n</html>\n";
  return html;
}

}  // namespace folio
