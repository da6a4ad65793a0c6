#include "data/hugging_face/text_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/files/files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using Json = nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class TextFormatFiles : public testing::Test {
 protected:
  EndTokens ends(const Json& config, const Json& generation = nullptr) const {
    const TemporaryFolder folder;
    write_file(folder / "config.json", config.dump());
    if (!generation.is_null()) write_file(folder / "generation_config.json", generation.dump());
    return load_end_tokens(folder.path(), 10);
  }
  void write(const char* name, const Json& json) const { write_file(folder_ / name, json.dump()); }
  ChatFormat chat() const { return load_chat_format(folder_.path()); }

  TemporaryFolder folder_;
};

// As generate() of transformers 5.24 has them for the same two files.
TEST_F(TextFormatFiles, EndTokensAreThoseOfGenerate) {
  const Json three{{"eos_token_id", 3}};
  EXPECT_EQ(ends(three), (EndTokens{{3}, false}));
  EXPECT_EQ(ends({{"eos_token_id", {3}}}), (EndTokens{{3}, true}));
  EXPECT_EQ(ends({{"eos_token_id", {3, 0, 9}}}), (EndTokens{{3, 0, 9}, true}));
  for (const Json& none : {Json::object(), Json{{"eos_token_id", nullptr}}})
    EXPECT_THAT(ends(none).ids, ElementsAre()) << none;
  EXPECT_EQ(ends(three, {{"eos_token_id", 5}}), (EndTokens{{5}, false}));
  EXPECT_EQ(ends(Json::object(), {{"eos_token_id", {5, 6}}}), (EndTokens{{5, 6}, true}));
  // The file that is there says it alone.
  for (const Json& none : {Json::object(), Json{{"eos_token_id", nullptr}}})
    EXPECT_THAT(ends(three, none).ids, ElementsAre()) << none;
}

TEST_F(TextFormatFiles, IdsThatNoTokenHasAreRefused) {
  auto message = [&](const Json& id) { return message_of([&] { ends({{"eos_token_id", id}}); }); };
  EXPECT_THAT(message(10), AllOf(HasSubstr("config.json: \"eos_token_id\" is 10"),
                                 HasSubstr("the model's 10 tokens have the ids 0 to 9")));
  EXPECT_THAT(message({2, 11}), HasSubstr("\"eos_token_id\" is [2,11]"));
  EXPECT_THAT(message(-1), HasSubstr("-1 is none of them"));
  EXPECT_THAT(message(18446744073709551615u), HasSubstr("is none of them"));
  for (const Json& id : {Json("</s>"), Json(1.5), Json(true), Json({2, "x"}), Json::object()})
    EXPECT_THAT(message(id), HasSubstr("\"eos_token_id\" must be an id or a list of ids, got"));
  EXPECT_THAT(message_of([&] {
                ends({{"eos_token_id", 2}}, {{"eos_token_id", 12}});
              }),
              HasSubstr("generation_config.json: \"eos_token_id\" is 12"));
}

TEST_F(TextFormatFiles, WithoutThemTheTokenizersEndOfTextEndsAText) {
  const CharTokenizer characters(U"ab");
  EXPECT_THAT(end_tokens({}, characters), ElementsAre());
  EXPECT_THAT(end_tokens({{1, 0}, true}, characters), ElementsAre(1, 0));
}

TEST_F(TextFormatFiles, TheTemplateIsWhereTransformersFindsIt) {
  ChatFormat none = chat();
  EXPECT_THAT(message_of([&] { default_template(none); }),
              AllOf(HasSubstr("tokenizer_config.json: \"chat_template\": there is none"),
                    HasSubstr("leave --chat out")));
  const Json tool{{"name", "tool_use"}, {"template", "b"}};
  for (const Json& json : {Json("a"), Json({tool, {{"name", "default"}, {"template", "a"}}}),
                           Json{{"default", "a"}, {"tool_use", "b"}}}) {
    write("tokenizer_config.json", {{"chat_template", json}});
    ChatFormat found = chat();
    EXPECT_EQ(default_template(found).source, "a");
  }
  for (const Json& json : {Json({tool}), Json(3), Json({{{"name", "default"}}}), Json::array()}) {
    write("tokenizer_config.json", {{"chat_template", json}});
    ChatFormat found = chat();
    EXPECT_THAT(message_of([&] { default_template(found); }),
                HasSubstr("\"chat_template\": must be a text, or a list"));
  }
  write_file(folder_ / "chat_template.jinja", "c\n");
  ChatFormat file = chat();
  EXPECT_EQ(default_template(file).source, "c\n");
  EXPECT_THAT(default_template(file).where, testing::EndsWith("/chat_template.jinja"));
  write_file(folder_ / "tokenizer_config.json", "{");
  ChatFormat damaged = chat();
  EXPECT_THAT(message_of([&] { default_template(damaged); }),
              HasSubstr("tokenizer_config.json: not JSON"));
}

// special_tokens_map of transformers 5.24 for the same files.
TEST_F(TextFormatFiles, TokensAreNamedAsTransformersNamesThem) {
  auto named = [&](Json config, const Json& map = nullptr) {
    config["chat_template"] = "a";
    write("tokenizer_config.json", config);
    if (!map.is_null()) write("special_tokens_map.json", map);
    std::map<std::string, std::string> tokens;
    for (const auto& [name, text] : chat().tokens) tokens[name] = text.value_or("?");
    return tokens;
  };
  const std::string end = "<|endoftext|>";
  const Json fast{{"tokenizer_class", "PreTrainedTokenizerFast"}};
  EXPECT_THAT(named(fast), ElementsAre());
  EXPECT_THAT(named({{"tokenizer_class", "GPT2Tokenizer"}, {"bos_token", nullptr}}),
              ElementsAre(Pair("eos_token", end), Pair("unk_token", end)));
  EXPECT_THAT(named({{"tokenizer_class", "Qwen2Tokenizer"}}),
              ElementsAre(Pair("eos_token", end), Pair("pad_token", end), Pair("unk_token", end)));
  Json some = fast;
  some["bos_token"] = "<x>";
  some["image_token"] = "<i>";
  some["eos_token"] = {{"__type", "AddedToken"}, {"content", "<y>"}};
  EXPECT_THAT(named(some), ElementsAre(Pair("bos_token", "<x>"), Pair("eos_token", "<y>"),
                                       Pair("image_token", "<i>")));
  // Of a class that folio does not know, what is not said may be anything.
  EXPECT_THAT(named({{"tokenizer_class", "LlamaTokenizer"}, {"bos_token", "<x>"}}),
              testing::IsSupersetOf({Pair("bos_token", "<x>"), Pair("eos_token", "?")}));
  const Json map{{"bos_token", "<m>"}};
  EXPECT_THAT(named(fast, map), ElementsAre(Pair("bos_token", "<m>")));
  Json decoder = fast;
  decoder["added_tokens_decoder"] = Json::object();
  EXPECT_THAT(named(decoder, map), ElementsAre());
}

}  // namespace
}  // namespace folio
