#include "inspect/page/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files/files.h"
#include "inspect/page/web_files.h"
#include "tests/message.h"
#include "tests/paths.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::Not;

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// What somebody might type, or name a run, to get into the page.
const std::string hostile[] = {"</script><script>alert(1)</script>",
                               "<!--<script>",
                               "]]><img src=x onerror=alert(1)>",
                               "\"'><svg onload=alert(1)>",
                               "</title><script>alert(1)</script>",
                               "&lt;b&gt; &#x3c;",
                               std::string("a\0b", 3),
                               "\xff\xfe\xc3",
                               "\u202ertl\u2028\u2029\u2066",
                               "${alert(1)} `x` \\u003cscript\\u003e"};

TEST(Page, HostileTextCannotBecomeMarkup) {
  const std::string plain = to_html({.title = "x", .body = "", .data = {{"d", {"x"}}}});
  for (const std::string& text : hostile) {
    const std::string html = to_html({.title = text,
                                      .body = "<p>" + html_text(text) + "</p>",
                                      .data = {{"d", {text, {{text, text}}}}}});
    for (const char* markup : {"<script", "</script", "<!--", "<title", "</title", "<style"})
      EXPECT_EQ(count(html, markup), count(plain, markup)) << text;
    for (const char* markup : {"<img", "<svg", "<b>"})
      EXPECT_EQ(count(html, markup), count(plain, markup)) << text;
    EXPECT_THAT(html, Not(HasSubstr(std::string_view("\0", 1))));
  }
}

TEST(Page, ScriptsReadTheTextsAsTheyWere) {
  for (const std::string& text : hostile) {
    const std::string json = script_json(nlohmann::ordered_json{{"text", text}});
    for (char c : json) EXPECT_TRUE(c >= ' ' && c < 0x7f && c != '<' && c != '>' && c != '&');
    const std::string read = nlohmann::json::parse(json).at("text");
    if (text == "\xff\xfe\xc3")
      EXPECT_EQ(read, "\uFFFD\uFFFD\uFFFD");
    else
      EXPECT_EQ(read, text);
  }
}

TEST(Page, HtmlTextEscapesAndReplaces) {
  EXPECT_EQ(html_text("<a href=\"x\">'&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(html_text(std::string_view("a\0b", 3)), "a\uFFFDb");
  EXPECT_EQ(html_text("a\xff"
                      "b\xc3"),
            "a\uFFFDb\uFFFD");
  EXPECT_EQ(html_text("é\u202e"), "é\u202e");
}

TEST(Page, AsksTheNetworkForNothing) {
  const std::string html =
      to_html({.title = "t", .body = "", .scripts = {"heat_map.js", "line_chart.js"}});
  EXPECT_THAT(html, HasSubstr("content=\"default-src 'none'; script-src 'unsafe-inline';"));
  for (const char* request : {"src=\"", "@import", "url(", "fetch(", "XMLHttpRequest", "import("})
    EXPECT_THAT(html, Not(HasSubstr(request)));
  EXPECT_LT(html.find("Content-Security-Policy"), html.find("<script"));
  EXPECT_LT(html.find("function makeFigure"), html.find("function heatMap"));
}

// Inside <script> and <style>, where nothing is escaped, our own files must hold no end of them.
TEST(WebFiles, NoneEndsItsElementOrWritesMarkup) {
  EXPECT_GT(web_files().size(), 4u);
  for (const EmbeddedFile& file : web_files()) {
    EXPECT_GT(file.contents.size(), 100u) << file.name;
    for (const char* end : {"</script", "</style", "<!--", "innerHTML", "outerHTML",
                            "document.write", "insertAdjacentHTML", "eval("})
      EXPECT_EQ(file.contents.find(end), std::string_view::npos) << file.name << " has " << end;
  }
}

TEST(WebFiles, AreTheTreesToTheByte) {
  for (const EmbeddedFile& file : web_files())
    EXPECT_TRUE(file.contents == read_file(source_path("inspect/web/" + std::string(file.name))))
        << file.name;
}

TEST(WebFiles, AMissingOneIsAnError) {
  EXPECT_THAT(error_of([] { to_html({.title = "", .body = "", .scripts = {"no.js"}}); }),
              HasSubstr("no.js: there is no such file in inspect/web"));
}

TEST(Base64, IsThatOfTheRfc) {
  const std::pair<std::string, std::string> known[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {"\xff\xff\xfe", "///+"}};
  for (const auto& [bytes, text] : known) EXPECT_EQ(base64(bytes), text);
  const std::vector<float> values{1.0f, -2.5f};
  EXPECT_EQ(array_json(values, {2, 1}).dump(), R"({"shape":[2,1],"f32":"AACAPwAAIMA="})");
}

}  // namespace
}  // namespace folio
