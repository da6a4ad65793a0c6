#include "data/jinja/jinja_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/message.h"
#include "tests/reference/chat.h"

namespace folio {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

JinjaValue value_of(const json& json) {
  if (json.is_string()) return MarkedText::given(json.get<std::string>());
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number()) return json.get<int64_t>();
  if (json.is_null()) return JinjaValue::None{};
  if (json.is_array()) {
    std::vector<JinjaValue> all;
    for (const auto& one : json) all.push_back(value_of(one));
    return JinjaValue::list(std::move(all));
  }
  std::map<std::string, JinjaValue> members;
  for (const auto& [key, value] : json.items()) members[key] = value_of(value);
  return JinjaValue::Dict(std::make_shared<const std::map<std::string, JinjaValue>>(members));
}

JinjaInput input_of(const json& variables) {
  JinjaInput input;
  for (const auto& [name, value] : variables.items()) input.variables[name] = value_of(value);
  return input;
}

std::string rendered(const std::string& source, const json& variables = json::object()) {
  return JinjaTemplate(source, "t.jinja").render(input_of(variables)).text();
}

std::string error(const std::string& source, const json& variables = json::object()) {
  return message_of([&] { rendered(source, variables); });
}

TEST(JinjaTemplate, RendersWhatTransformersDoes) {
  std::tm now{};
  const std::string written = reference::chat().at("now");
  ASSERT_TRUE(strptime(written.c_str(), "%Y-%m-%dT%H:%M:%S", &now));
  now.tm_isdst = -1;
  for (const json& one : reference::chat().at("cases")) {
    const std::string name = one.at("template");
    SCOPED_TRACE(name + " of " + one.at("conversation").dump());
    JinjaInput input = input_of(one.at("settings"));
    const json shared{
        {"messages",
         reference::chat().at("conversations").at(one.at("conversation").get<size_t>())},
        {"add_generation_prompt", true},
        {"tools", nullptr},
        {"bos_token", "<|begin_of_text|>"},
        {"eos_token", "</s>"}};
    input.variables.merge(input_of(shared).variables);
    input.now = std::mktime(&now);
    const JinjaTemplate read(reference::chat_template(name), name);
    if (one.contains("error"))
      EXPECT_THAT(
          message_of([&] { read.render(input); }),
          AllOf(HasSubstr(name + ", line "), HasSubstr(one.at("error").get<std::string>())));
    else
      EXPECT_EQ(read.render(input).text(), one.at("text"));
  }
}

// Whatever a template does with a text, each byte stays its author's.
TEST(JinjaTemplate, MarksWhatItWroteItself) {
  const json variables{{"a", " x<e>y "}, {"list", {"p", "q"}}};
  const std::string source =
      "<{{ a | trim }}>{{ a.split('<e>')[1] ~ '!' }}{{ a.replace('<e>', '<i>') }}{{ a[1:3] }}"
      "{{ list | join('+') }}{{ list | length }}";
  const MarkedText text = JinjaTemplate(source, "t").render(input_of(variables));
  std::string written;
  for (size_t i = 0; i < text.size(); ++i) written += text.is_written(i) ? text.text()[i] : '.';
  EXPECT_EQ(text.text(), "<x<e>y>y ! x<i>y x<p+q2");
  EXPECT_EQ(written, "<.....>..!..<i>.....+.2");
}

// A name that a scope sets is nothing there before, whatever it is outside: Jinja decides so from
// the text. Each as jinja2 3.1.6 renders it with a = "A".
TEST(JinjaTemplate, NamesBelongToTheScopeThatSetsThem) {
  const json a{{"a", "A"}};
  EXPECT_EQ(rendered("{% for i in [1, 2] %}{{ a }}{% endfor %}{% set a = 'B' %}{{ a }}", a), "B");
  EXPECT_EQ(rendered("{{ a }}{% for i in [1, 2] %}{{ a }}{% endfor %}{% set a = 'B' %}", a), "AAA");
  EXPECT_EQ(rendered("{% for i in [1, 2] %}{{ a }}{% set a = 'B' %}{% endfor %}{{ a }}", a), "AAA");
  EXPECT_EQ(rendered("{% if no %}{% set a = 'B' %}{% endif %}{{ a }}", a), "A");
  EXPECT_EQ(rendered("{% set n = 1 %}{% for i in [1, 2] %}{% set n = n + i %}{{ n }}{% endfor %}"),
            "23");
}

// By name and line, so that nobody takes another text for the model's.
TEST(JinjaTemplate, WhatItDoesNotFollowItRefuses) {
  const std::pair<const char*, const char*> cases[] = {
      {"\n{% macro m() %}{% endmacro %}",
       "t.jinja, line 2: folio does not follow the tag {% macro %}"},
      {"{% include 'x' %}", "the tag {% include %}"},
      {"{% set x %}a{% endset %}", "the tag ends too early"},
      {"{{ 1.5 }}", "whole numbers alone"},
      {"{{ 'a\\x41' }}", "the escape \\x"},
      {"{{ {'a': 1} }}", "\"{\" here is beyond what folio follows"},
      {"{{ (1, 2) }}", "\",\" here"},
      {"{{ 1 < 2 < 3 }}", "comparisons in a row"},
      {"{% for a, b in c %}{% endfor %}", "\",\" here"},
      {"{% for a in c if a %}{% endfor %}", "\"if\" here"},
      {"{{ c | selectattr('x') }}", "the filter selectattr"},
      {"{{ c is sameas 1 }}", "\"1\" here"},
      {"{{ c is divisibleby(1) }}", "divisibleby"},
      {"{{ m.items() }}", "line 1: items: folio does not follow this method of a dict"},
      {"{{ m.pop }}", ".pop: folio does not follow it for a dict"},
      {"{{ c.x }}", ".x: folio does not follow it for a list"},
      {"{{ missing.x }}", ".x: folio does not follow it for nothing"},
      {"{{ 'a'.title() }}", "title: folio does not follow this method of a text"},
      {"{{ 'é'.upper() }}", "for ASCII alone"},
      {"{{ c }}", "folio does not print a list"},
      {"{{ 'a' + 1 }}", "+: folio does not follow it between a text and a number"},
      {"{{ 1 % 0 }}", "numbers above 0"},
      {"{{ 9223372036854775807 + 1 }}", "64 bits"},
      {"{{ range(3) }}", "range()"},
      {"{{ lipsum }}", "does not print a function"},
      {"{{ strftime_now('%c') }}", "the format \"%c\""},
      {"{{ raise_exception('Oh no') }}", "refuses this conversation: Oh no"},
      {"{% set m.x = 1 %}", "attributes of a namespace"},
      {"{% set n = namespace() %}{% set n.x = n %}", "attributes of a namespace alone"},
      {"{% if a %}", "there is no {% endif %}"},
      {"{% endif %}", "the tag {% endif %}"},
      {"{{ a", "{{ has no end"},
      {"{# a", "the comment {# has no end"},
      {"{{ 'a }}", "a string has no end"},
      {"{{ a ) }}", ") closes nothing"},
      {"{{ é }}", "Jinja has no such thing"}};
  for (const auto& [source, wanted] : cases)
    EXPECT_THAT(error(source, {{"c", {"a"}}, {"m", {{"role", "user"}}}}),
                AllOf(HasSubstr("t.jinja, line "), HasSubstr(wanted)))
        << source;
  JinjaInput input;
  input.unknown["bos_token"] = "nobody says";
  EXPECT_THAT(message_of([&] { JinjaTemplate("{{ bos_token }}", "t").render(input); }),
              HasSubstr("bos_token: nobody says"));
}

TEST(JinjaTemplate, HostileOnesEnd) {
  const auto nested = [](const std::string& open, const std::string& close) {
    std::string text = "{{ ";
    for (int i = 0; i < 100000; ++i) text += open;
    text += "a";
    for (int i = 0; i < 100000; ++i) text += close;
    return text + " }}";
  };
  for (const auto& [open, close] : {std::pair{"(", ")"},
                                    {"[", "]"},
                                    {"not ", ""},
                                    {"a + ", ""},
                                    {"", ".b"},
                                    {"", "|trim"},
                                    {"a if b else ", ""}})
    EXPECT_THAT(error(nested(open, close)), HasSubstr("nested too deep")) << open;
  std::string tags;
  for (int i = 0; i < 100000; ++i) tags += "{% if a %}";
  EXPECT_THAT(error(tags), HasSubstr("too deep within each other"));
  std::string loops, body = "{% set n.x = n.x + n.x %}";
  for (int i = 0; i < 20; ++i) loops += "{% for i in 'aaaaaaaaaa' %}";
  std::string ends;
  for (int i = 0; i < 20; ++i) ends += "{% endfor %}";
  EXPECT_THAT(error(loops + ends), HasSubstr("goes on and on"));
  EXPECT_THAT(error("{% set n = namespace(x='aaaa') %}" + loops + body + ends),
              HasSubstr("goes on and on"));
}

}  // namespace
}  // namespace folio
