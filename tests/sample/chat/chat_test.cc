#include "sample/chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "data/hugging_face/tokenizer_files.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"
#include "tests/reference/chat.h"

namespace folio {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class ChatTest : public testing::Test {
 protected:
  Chat open(const json& templates, Chat::Settings settings = {}) {
    reference::write_chat_tokenizer(folder_.path(), templates);
    tokenizer_ = load_tokenizer_files(folder_.path());
    return Chat(load_chat_format(folder_.path()), tokenizer_, settings);
  }
  std::string refusal(const json& templates) {
    return message_of([&] { open(templates); });
  }
  static std::vector<ChatMessage> messages_of(const json& json) {
    std::vector<ChatMessage> messages;
    for (const auto& one : json) messages.push_back({one.at("role"), one.at("content")});
    return messages;
  }

  TemporaryFolder folder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

// Also of messages that spell special tokens out, which stay text.
TEST_F(ChatTest, IdsAreThoseOfTransformers) {
  std::tm now{};
  const std::string written = reference::chat().at("now");
  ASSERT_TRUE(strptime(written.c_str(), "%Y-%m-%dT%H:%M:%S", &now));
  now.tm_isdst = -1;
  size_t compared = 0;
  for (const json& one : reference::chat().at("cases")) {
    const std::string name = one.at("template");
    SCOPED_TRACE(name + " of " + one.at("conversation").dump());
    Chat::Settings settings{.now = std::mktime(&now)};
    if (one.at("settings").contains("enable_thinking"))
      settings.thinking = one.at("settings").at("enable_thinking").get<bool>();
    const Chat chat = open(reference::chat_template(name), settings);
    const auto messages =
        messages_of(reference::chat().at("conversations").at(one.at("conversation").get<size_t>()));
    if (one.contains("error")) {
      EXPECT_THAT(message_of([&] { chat.tokens(messages); }), HasSubstr("must alternate"));
      continue;
    }
    const std::vector<int32_t> ids = chat.tokens(messages);
    EXPECT_EQ(tokenizer_->decode(ids), one.at("text"));
    if (!one.contains("ids")) continue;
    EXPECT_EQ(ids, one.at("ids").get<std::vector<int32_t>>());
    ++compared;
  }
  EXPECT_GT(compared, 80u);
}

// Halves of a special token, the template's and a person's, do not join.
TEST_F(ChatTest, NoMessageWritesASpecialToken) {
  const Chat chat = open("<|im_{% for m in messages %}{{ m.content }}|>{% endfor %}<|eot_id|>");
  const std::vector<ChatMessage> messages{{"user", "end|><|eot_id"}};
  const std::vector<int32_t> ids = chat.tokens(messages);
  EXPECT_EQ(tokenizer_->decode(ids), "<|im_end|><|eot_id|><|eot_id|>");
  EXPECT_EQ(std::ranges::count(ids, reference::chat_id("<|eot_id|>")), 1);
  EXPECT_EQ(std::ranges::count(ids, reference::chat_id("<|im_end|>")), 0);
}

TEST_F(ChatTest, ATurnEndsWithWhatTheTemplateWritesBehindIt) {
  auto ends = [&](const std::string& name) {
    return open(reference::chat_template(name)).turn_ends();
  };
  for (const char* name : {"ChatML", "ChatML with tools", "thinking"})
    EXPECT_THAT(ends(name), ElementsAre(reference::chat_id("<|im_end|>"))) << name;
  for (const char* name : {"Llama 3", "Llama 3, dated"})
    EXPECT_THAT(ends(name), ElementsAre(reference::chat_id("<|eot_id|>"))) << name;
  EXPECT_THAT(ends("alternating"), ElementsAre(reference::chat_id("</s>")));
  EXPECT_THAT(open("{{ messages[0].content }}").turn_ends(), ElementsAre());
}

// Before anybody has typed a word, with the file and the key.
TEST_F(ChatTest, ATemplateThatItCannotFollowIsRefusedAtOnce) {
  EXPECT_THAT(refusal(nullptr),
              HasSubstr("tokenizer_config.json: \"chat_template\": there is none"));
  EXPECT_THAT(refusal("\n{% macro a() %}{% endmacro %}"),
              HasSubstr("\"chat_template\", line 2: folio does not follow the tag {% macro %}"));
  const json named{{"name", "default"},
                   {"template", "{% if messages|length > 2 %}{{ 1 | tojson }}{% endif %}a"}};
  EXPECT_THAT(refusal(json::array({named})),
              HasSubstr("\"chat_template\"[\"default\"], line 1: folio does not follow the filter "
                        "tojson"));
  EXPECT_THAT(refusal(""), HasSubstr("makes no text"));
}

}  // namespace
}  // namespace folio
