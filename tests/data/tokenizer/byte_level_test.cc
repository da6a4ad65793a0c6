#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/files/files.h"
#include "data/hugging_face/tokenizer_files.h"
#include "data/tokenizer/bpe_files.h"
#include "data/tokenizer/byte_alphabet.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"
#include "tests/paths.h"

// Byte-level tokenizer.json files in the settings of SmolLM2, Qwen3, Llama 3 and others:
// byte_level.json, which make_byte_level.py wrote.
namespace folio {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

const Json& reference() {
  static const Json json =
      Json::parse(std::ifstream(source_path("tests/reference/byte_level.json")));
  return json;
}

std::shared_ptr<const Tokenizer> load(const Json& tokenizer_json) {
  TemporaryFolder folder;
  write_file(folder / "tokenizer.json", tokenizer_json.dump());
  return load_tokenizer_files(folder.path());
}

void expect_reference_ids(const Tokenizer& tokenizer, const Json& of_case) {
  const Json& texts = of_case.at("texts");
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string text = texts[i];
    Ids ids = tokenizer.start_tokens();
    for (int32_t id : tokenizer.encode(text, SpecialTokens::allowed)) ids.push_back(id);
    EXPECT_EQ(ids, of_case.at("ids")[i].get<Ids>()) << testing::PrintToString(text);
    EXPECT_EQ(tokenizer.encode(text), of_case.at("as_text")[i].get<Ids>())
        << testing::PrintToString(text);
  }
}

TEST(ByteLevel, HasTokenizersIds) {
  for (const Json& of_case : reference().at("cases")) {
    SCOPED_TRACE(of_case.at("name"));
    expect_reference_ids(*load(of_case.at("tokenizer.json")), of_case);
  }
}

TEST(ByteLevel, IsKeptWhole) {
  for (const Json& of_case : reference().at("cases")) {
    SCOPED_TRACE(of_case.at("name"));
    auto tokenizer = load(of_case.at("tokenizer.json"));
    auto kept = tokenizer_from_text(to_text(*tokenizer), "a test");
    EXPECT_TRUE(*kept == *tokenizer);
    expect_reference_ids(*kept, of_case);
    TemporaryFolder exported;
    save_tokenizer_files(exported.path(), *tokenizer, 64);
    auto opened = load_tokenizer_files(exported.path());
    EXPECT_TRUE(*opened == *tokenizer);
    expect_reference_ids(*opened, of_case);
  }
}

// Every byte but 'x' and those from 0x80 on, "ab", "abc" that no merge gives, and <s>.
Json small() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 128; ++byte)
    if (byte != 'x') vocab[spell_bytes(std::string(1, char(byte)))] = vocab.size();
  for (const char* token : {"ab", "abc", "<s>"}) vocab[token] = vocab.size();
  return {{"version", "1.0"},
          {"added_tokens", {{{"id", 129}, {"content", "<s>"}, {"special", true}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array({"a b"})}}}};
}

std::string text_of(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.decode(tokenizer.encode(text));
}

TEST(ByteLevel, BytesThatTheVocabularyLacksVanishAndAreCounted) {
  auto tokenizer = load(small());
  EXPECT_EQ(text_of(*tokenizer, "axb \u00e9x<s>"), "ab <s>");
  EXPECT_EQ(tokenizer->encode("axb"), Ids{127});  // what is left is merged
  EXPECT_THAT(tokenizer->lost_bytes("axb \u00e9x", SpecialTokens::as_text),
              ElementsAre(Pair('x', 2), Pair(0xa9, 1), Pair(0xc3, 1)));
  EXPECT_THAT(tokenizer->lost_bytes("ab", SpecialTokens::as_text), ElementsAre());
  Json json = small();
  json["added_tokens"].push_back({{"id", 130}, {"content", "<x>"}, {"special", true}});
  tokenizer = load(json);
  EXPECT_THAT(tokenizer->lost_bytes("<x>x", SpecialTokens::allowed), ElementsAre(Pair('x', 1)));
  EXPECT_THAT(tokenizer->lost_bytes("<x>x", SpecialTokens::as_text), ElementsAre(Pair('x', 2)));
}

TEST(ByteLevel, AnUnknownTokenStandsForThem) {
  Json json = small();
  json["model"]["unk_token"] = "<s>";
  EXPECT_EQ(text_of(*load(json), "axb\u00e9"), "a<s>b<s><s>");
  EXPECT_TRUE(load(json)->lost_bytes("axb", SpecialTokens::as_text).empty());
  json["model"]["fuse_unk"] = true;
  EXPECT_EQ(text_of(*load(json), "axb\u00e9"), "a<s>b<s>");
  json["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(error_of([&] { load(json); }), HasSubstr("\"unk_token\" is \"<unk>\""));
}

TEST(ByteLevel, IgnoreMergesTakesAWholePretoken) {
  Json json = small();
  EXPECT_EQ(load(json)->encode("abc").size(), 2u);
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(load(json)->encode("abc"), Ids{128});
  EXPECT_EQ(load(json)->encode("abcd").size(), 3u);
}

TEST(ByteLevel, AStartTokenIsToldOf) {
  Json json = small();
  auto piece = [](const char* kind, const char* id) {
    return Json{{kind, {{"id", id}, {"type_id", 0}}}};
  };
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {piece("SpecialToken", "<s>"), piece("Sequence", "A")}},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {129}}, {"tokens", {"<s>"}}}}}}};
  auto tokenizer = load(json);
  EXPECT_EQ(tokenizer->start_tokens(), Ids{129});
  EXPECT_EQ(tokenizer->encode("ab"), Ids{127});
  EXPECT_EQ(tokenizer_from_text(to_text(*tokenizer), "a test")->start_tokens(), Ids{129});
  json["post_processor"]["special_tokens"]["<s>"]["ids"] = {500};
  EXPECT_THAT(error_of([&] { load(json); }), HasSubstr("puts token 500 before a text"));
  json["post_processor"]["single"] = {piece("Sequence", "A"), piece("SpecialToken", "<s>")};
  EXPECT_THAT(error_of([&] { load(json); }), HasSubstr("\"post_processor\""));
}

// GPT-2's way is what an older reader takes it all for.
TEST(ByteLevel, WhatGoesAnotherWaySaysSo) {
  EXPECT_EQ(load(small())->to_json().at("type"), "byte_level_bpe");
  Json json = small();
  for (int byte = 0; byte < 256; ++byte)
    json["model"]["vocab"].emplace(spell_bytes(std::string(1, char(byte))),
                                   json["model"]["vocab"].size());
  EXPECT_EQ(load(json)->to_json().at("type"), "bpe");
  for (const auto& [pointer, value] :
       std::map<std::string, Json>{{"/normalizer", {{"type", "NFC"}}},
                                   {"/model/ignore_merges", true},
                                   {"/pre_tokenizer/add_prefix_space", true},
                                   {"/added_tokens/0/lstrip", true}}) {
    Json other = json;
    other[Json::json_pointer(pointer)] = value;
    EXPECT_EQ(load(other)->to_json().at("type"), "byte_level_bpe") << pointer;
  }
}

TEST(ByteLevel, WhatFolioDoesNotDoIsRefusedByName) {
  auto sequence = [](const Json& steps) {
    return Json{{"type", "Sequence"}, {"pretokenizers", steps}};
  };
  const Json level{{"type", "ByteLevel"}, {"add_prefix_space", false}};
  const Json split{{"type", "Split"},
                   {"pattern", {{"Regex", "a"}}},
                   {"behavior", "Isolated"},
                   {"invert", false}};
  Json no_behavior = split, no_pattern = split, no_regex = split;
  no_behavior["behavior"] = "Isolate";
  no_pattern["pattern"] = "a";
  no_regex["pattern"] = {{"Regex", "(a"}};
  const std::tuple<const char*, Json, const char*> cases[] = {
      {"/normalizer", {{"type", "NFKC"}}, "\"normalizer\": {\"type\":\"NFKC\"}"},
      {"/normalizer", {{"type", "ByteLevel"}}, "\"normalizer\""},
      {"/normalizer", {{"type", "Sequence"}}, "\"normalizer\""},
      {"/pre_tokenizer", {{"type", "Metaspace"}}, "\"pre_tokenizer\": \"Metaspace\""},
      {"/pre_tokenizer", split, "end with, ByteLevel"},
      {"/pre_tokenizer", sequence({level, split}), "follows ByteLevel"},
      {"/pre_tokenizer", sequence(3), "an array of \"pretokenizers\""},
      {"/pre_tokenizer", sequence({no_behavior, level}), "\"behavior\""},
      {"/pre_tokenizer", sequence({no_pattern, level}), "\"pattern\""},
      {"/pre_tokenizer", sequence({no_regex, level}), "\"(a\" is no pattern"},
      {"/pre_tokenizer/use_regex", 1, "\"use_regex\" must be true or false"},
      {"/pre_tokenizer/pattern", "a", "\"pattern\" is not a key"},
      {"/post_processor", {{"type", "RobertaProcessing"}}, "\"post_processor\""},
      {"/decoder", {{"type", "Metaspace"}}, "\"decoder\""},
      {"/model/type", "WordPiece", "model type \"WordPiece\""},
      {"/model/dropout", 0.1, "\"dropout\": 0.1"},
      {"/model/continuing_subword_prefix", "##", "\"continuing_subword_prefix\""},
      {"/model/end_of_word_suffix", "</w>", "\"end_of_word_suffix\""},
      {"/model/byte_fallback", true, "\"byte_fallback\": true"},
      {"/model/ignore_merges", "yes", "\"ignore_merges\" must be true or false"},
      {"/model/unk_token", 3, "\"unk_token\" must be a text"}};
  for (const auto& [pointer, value, message] : cases) {
    Json json = small();
    json[Json::json_pointer(pointer)] = value;
    EXPECT_THAT(error_of([&] { load(json); }),
                AllOf(HasSubstr("tokenizer.json"), HasSubstr(message)))
        << pointer << ": " << value;
  }
  for (const auto& [pointer, value] : std::map<std::string, Json>{
           {"/model/dropout", 0.0}, {"/model/fuse_unk", false}, {"/model/byte_fallback", false}}) {
    Json json = small();
    json[Json::json_pointer(pointer)] = value;
    EXPECT_EQ(error_of([&] { load(json); }), "") << pointer;
  }
}

TEST(ByteLevel, QwensFilesWithoutATokenizerJsonAreReadQwensWay) {
  TemporaryFolder folder;
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[spell_bytes(std::string(1, char(byte)))] = byte;
  vocab["11"] = 256;
  write_file(folder / "vocab.json", vocab.dump());
  write_file(folder / "merges.txt", "1 1\n");
  EXPECT_EQ(load_bpe(folder.path())->encode("11"), Ids{256});
  write_file(folder / "tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer"})");
  EXPECT_EQ(load_bpe(folder.path())->encode("11"), (Ids{'1', '1'}));
  EXPECT_EQ(load_bpe(folder.path())->encode("e\u0301"), (Ids{0xc3, 0xa9}));
}

}  // namespace
}  // namespace folio
