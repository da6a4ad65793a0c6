#include "data/tokenizer/char_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::json;

TEST(CharTokenizer, IdIsThePlaceInTheVocabulary) {
  CharTokenizer tokenizer(U"\nabz\u00e9\U0001F600");
  EXPECT_EQ(tokenizer.vocab_size(), 6);
  EXPECT_THAT(tokenizer.encode("b\u00e9\n\U0001F600a"), ElementsAre(2, 4, 0, 5, 1));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{2, 4, 0, 5, 1}), "b\u00e9\n\U0001F600a");
  EXPECT_EQ(tokenizer.id(U'c'), -1);
  EXPECT_EQ(tokenizer.id(0x10ffff), -1);
}

TEST(CharTokenizer, NamesTheCharacterItLacksAndItsPlace) {
  CharTokenizer tokenizer(U"ab\u00e9");
  std::string message = error_of([&] { tokenizer.encode("a\u00e9\u00e8b"); });
  EXPECT_THAT(message, AllOf(HasSubstr("'\u00e8' (U+00E8)"), HasSubstr("character 3 "),
                             HasSubstr("offset 3")));
  EXPECT_THAT(error_of([&] { tokenizer.encode("ab\xff"); }), HasSubstr("offset 2"));
}

TEST(CharTokenizer, RejectsIdsOutsideTheVocabulary) {
  CharTokenizer tokenizer(U"ab");
  for (int32_t id : {-1, 2, 65536})
    EXPECT_THAT(error_of([&] {
                  tokenizer.decode(std::vector<int32_t>{0, id});
                }),
                AllOf(HasSubstr("token 1 has id " + std::to_string(id)), HasSubstr("0 to 1")));
}

TEST(CharTokenizer, RejectsAVocabularyThatIsNotSortedAndDistinct) {
  EXPECT_THAT(error_of([] { CharTokenizer(U"ba"); }), HasSubstr("sorted"));
  EXPECT_THAT(error_of([] { CharTokenizer(U"aa"); }), HasSubstr("repeats"));
}

TEST(CharTokenizer, MayHaveEveryCharacterThatThereIs) {
  std::u32string all;
  for (char32_t c = 0; c < 0x110000; ++c)
    if (c < 0xd800 || c > 0xdfff) all += c;
  CharTokenizer tokenizer(all);
  EXPECT_EQ(tokenizer.vocab_size(), 0x110000 - 0x800);
  EXPECT_EQ(tokenizer.encode("\U0010ffff"), std::vector{0x10ffff - 0x800});
}

TEST(CharTokenizer, RandomVocabulariesRoundTripThroughJson) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 50; ++trial) {
    std::u32string characters;
    for (char32_t c = random() % 40; c < 0x110000; c += 1 + random() % 30000)
      if (c < 0xd800 || c > 0xdfff) characters += c;
    CharTokenizer tokenizer(characters);
    std::vector<int32_t> ids(200);
    for (int32_t& id : ids) id = int32_t(random() % characters.size());
    Json json = Json::parse(tokenizer.to_json().dump());
    CharTokenizer back = CharTokenizer::from_json(json, "it");
    EXPECT_EQ(back.characters(), characters);
    EXPECT_EQ(back.encode(tokenizer.decode(ids)), ids);
  }
}

TEST(CharTokenizer, RejectsOtherJson) {
  for (const char* text :
       {"3", "[]", "{}", R"({"type": "char"})", R"({"characters": "ab"})",
        R"({"type": "char", "characters": 3})", R"({"type": 1, "characters": ""})"})
    EXPECT_THAT(error_of([&] { CharTokenizer::from_json(Json::parse(text), "meta"); }),
                HasSubstr("meta: a tokenizer must be"))
        << text;
  EXPECT_THAT(error_of([] {
                CharTokenizer::from_json(Json{{"type", "bpe"}, {"characters", "a"}}, "meta");
              }),
              HasSubstr("\"bpe\""));
}

}  // namespace
}  // namespace folio
