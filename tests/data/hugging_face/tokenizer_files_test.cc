#include "data/hugging_face/tokenizer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/files/files.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"
#include "tests/data/tokenizer/gpt2_files.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

std::shared_ptr<const BpeTokenizer> small_bpe() {
  BpeVocabularyBuilder builder;
  add_bytes(builder);
  builder.add_token("\u0120t", 256, "a test");
  builder.add_token("he", 257, "a test");
  builder.add_token("\u0120the", 258, "a test");
  builder.add_special("<|endoftext|>", 259, "a test");
  builder.add_merge("\u0120", "t", "a test");
  builder.add_merge("h", "e", "a test");
  builder.add_merge("\u0120t", "he", "a test");
  return std::make_shared<BpeTokenizer>(builder.finish("a test"), "a test");
}

class TokenizerFiles : public testing::Test {
 protected:
  Json read(const std::string& name) { return Json::parse(read_file(folder_ / name)); }
  // What a folder with this tokenizer.json of a WordLevel model says.
  std::string error(const Json& vocab) {
    Json json{{"model", {{"type", "WordLevel"}, {"vocab", vocab}}}};
    write_file(folder_ / "tokenizer.json", json.dump());
    return error_of([&] { load_tokenizer_files(folder_.path()); });
  }

  TemporaryFolder folder_;
};

TEST_F(TokenizerFiles, AFolderWithoutAnyHasNone) {
  EXPECT_EQ(load_tokenizer_files(folder_.path()), nullptr);
}

TEST_F(TokenizerFiles, CharactersComeBack) {
  CharTokenizer tokenizer(U"\n !\"\\aé€😀");
  save_tokenizer_files(folder_.path(), tokenizer, 256);
  std::shared_ptr<const Tokenizer> loaded = load_tokenizer_files(folder_.path());
  ASSERT_NE(loaded, nullptr);
  EXPECT_TRUE(*loaded == tokenizer);
  EXPECT_EQ(read("tokenizer_config.json").at("model_max_length"), 256);
  EXPECT_EQ(read("tokenizer_config.json").at("tokenizer_class"), "PreTrainedTokenizerFast");
  EXPECT_EQ(read("tokenizer.json").at("model").at("vocab").at("😀"), 8);
}

TEST_F(TokenizerFiles, BytePairsComeBack) {
  std::shared_ptr<const Tokenizer> tokenizer = small_bpe();
  save_tokenizer_files(folder_.path(), *tokenizer, 1024);
  std::shared_ptr<const Tokenizer> loaded = load_tokenizer_files(folder_.path());
  ASSERT_NE(loaded, nullptr);
  EXPECT_TRUE(*loaded == *tokenizer);
  EXPECT_EQ(loaded->end_of_text(), 259);
  Json config = read("tokenizer_config.json");
  EXPECT_EQ(config.at("tokenizer_class"), "GPT2Tokenizer");
  EXPECT_EQ(config.at("eos_token"), "<|endoftext|>");
  EXPECT_EQ(config.at("add_prefix_space"), false);
}

TEST_F(TokenizerFiles, WhatIsSavedAgainIsTheSameBytes) {
  for (bool characters : {true, false}) {
    std::shared_ptr<const Tokenizer> tokenizer = small_bpe();
    if (characters) tokenizer = std::make_shared<CharTokenizer>(U"abc");
    TemporaryFolder first, second;
    save_tokenizer_files(first.path(), *tokenizer, 8);
    save_tokenizer_files(second.path(), *load_tokenizer_files(first.path()), 8);
    for (const auto& entry : std::filesystem::directory_iterator(first.path())) {
      std::string name = entry.path().filename();
      EXPECT_EQ(read_file(first / name), read_file(second / name)) << name;
    }
  }
}

TEST_F(TokenizerFiles, WordsThatAreNotCharactersAreNamed) {
  EXPECT_EQ(error({{"a", 0}, {"b", 1}}), "");
  EXPECT_THAT(error({{"ab", 0}}), HasSubstr("token \"ab\" is not one character"));
  EXPECT_THAT(error({{"", 0}}), HasSubstr("token \"\" is not one character"));
  EXPECT_THAT(error({{"a", 0}, {"b", 2}}), HasSubstr("token \"b\" has id 2"));
  EXPECT_THAT(error({{"a", -1}}), HasSubstr("token \"a\" has id -1"));
  EXPECT_THAT(error({{"a", "0"}}), HasSubstr("token \"a\" has id \"0\""));
  EXPECT_NE(error({{"a", 0}, {"b", 0}}), "");
  EXPECT_THAT(error(Json::array()), HasSubstr("has no vocab"));
  write_file(folder_ / "tokenizer.json", "\"WordLevel\"");
  EXPECT_THAT(error_of([&] { load_tokenizer_files(folder_.path()); }),
              HasSubstr("not a JSON object"));
}

}  // namespace
}  // namespace folio
