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

// transformers' ids of texts with tokens that the files beside a vocabulary add: added_tokens.json,
// which make_added_tokens.py wrote.
namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

const Json& reference() {
  static const Json json =
      Json::parse(std::ifstream(source_path("tests/reference/added_tokens.json")));
  return json;
}

// Every byte is its own id, then come what the merges give and the case's extra tokens.
Json vocabulary(const Json& extra) {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[spell_bytes(std::string(1, char(byte)))] = byte;
  for (std::string merge : reference().at("merges")) {
    merge.erase(merge.find(' '), 1);
    vocab[merge] = vocab.size();
  }
  for (const std::string token : extra) vocab[token] = vocab.size();
  return vocab;
}

// The folder that transformers read.
void write_files(const TemporaryFolder& folder, const Json& of_case) {
  Json files = of_case.at("files"), vocab = vocabulary(of_case.at("extra"));
  if (files.contains("tokenizer.json")) {
    files["tokenizer.json"]["model"] = {
        {"type", "BPE"}, {"vocab", vocab}, {"merges", reference().at("merges")}};
  } else {
    files["vocab.json"] = vocab;
    std::string lines = "#version: 0.2\n";
    for (const std::string merge : reference().at("merges")) lines += merge + "\n";
    write_file(folder / "merges.txt", lines);
  }
  for (const auto& [name, content] : files.items()) write_file(folder / name, content.dump());
}

void expect_reference_ids(const Tokenizer& tokenizer, const Json& of_case) {
  EXPECT_EQ(tokenizer.vocab_size(), of_case.at("size"));
  const Json& texts = reference().at("texts");
  const bool strips = of_case.at("files").dump().find("strip\":true") != std::string::npos;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string text = texts[i];
    EXPECT_EQ(tokenizer.encode(text, SpecialTokens::allowed), of_case.at("ids")[i].get<Ids>())
        << text;
    EXPECT_EQ(tokenizer.encode(text), of_case.at("as_text")[i].get<Ids>()) << text;
    if (strips) continue;  // what a token takes along is not in its text
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, SpecialTokens::allowed)), text);
  }
}

TEST(AddedTokens, HaveTransformersIds) {
  for (const Json& of_case : reference().at("cases")) {
    SCOPED_TRACE(of_case.at("name"));
    TemporaryFolder folder;
    write_files(folder, of_case);
    expect_reference_ids(*load_tokenizer_files(folder.path()), of_case);
  }
}

// What a checkpoint, a dataset or an export keeps of them is the same tokenizer.
TEST(AddedTokens, AreKept) {
  for (const Json& of_case : reference().at("cases")) {
    SCOPED_TRACE(of_case.at("name"));
    TemporaryFolder folder, exported;
    write_files(folder, of_case);
    std::shared_ptr<const Tokenizer> tokenizer = load_tokenizer_files(folder.path());
    std::shared_ptr<const Tokenizer> kept = tokenizer_from_text(to_text(*tokenizer), "a test");
    EXPECT_TRUE(*kept == *tokenizer);
    expect_reference_ids(*kept, of_case);
    save_tokenizer_files(exported.path(), *tokenizer, 64);
    std::shared_ptr<const Tokenizer> opened = load_tokenizer_files(exported.path());
    EXPECT_TRUE(*opened == *tokenizer);
    expect_reference_ids(*opened, of_case);
  }
}

// Of these transformers makes other ids than folio would: see make_added_tokens.py.
TEST(AddedTokens, WhatWouldGiveOtherIdsIsRefusedByName) {
  for (const Json& of_case : reference().at("refused")) {
    TemporaryFolder folder;
    write_files(folder, of_case);
    EXPECT_THAT(error_of([&] { load_tokenizer_files(folder.path()); }),
                AllOf(HasSubstr(folder.path()), HasSubstr(of_case.at("names"))))
        << of_case.at("name");
  }
}

class TokenizerSettings : public testing::Test {
 protected:
  // What a folder says whose vocab.json has the tokens `extra` and which has this file too.
  std::string error(const std::string& name, const Json& content,
                    const Json& extra = {"<|endoftext|>"}) {
    TemporaryFolder folder;
    write_files(folder, {{"files", {{name, content}}}, {"extra", extra}});
    return error_of([&] { load_tokenizer_files(folder.path()); });
  }
  // The same with a tokenizer.json that has `edit` in it.
  std::string tokenizer_json_error(const Json& edit) {
    TemporaryFolder folder;
    Json files = reference().at("cases")[7].at("files");
    write_files(folder, {{"files", files}, {"extra", Json::array()}});
    Json json = Json::parse(read_file(folder / "tokenizer.json"));
    json.merge_patch(edit);
    write_file(folder / "tokenizer.json", json.dump());
    return error_of([&] { load_tokenizer_files(folder.path()); });
  }
};

TEST_F(TokenizerSettings, AnUnknownKeyIsNamed) {
  const char* config = "tokenizer_config.json";
  EXPECT_THAT(error(config, {{"add_prefix_spaces", true}}),
              AllOf(HasSubstr("tokenizer_config.json: \"add_prefix_spaces\" is not a key that"),
                    HasSubstr("is it \"add_prefix_space\"?")));
  EXPECT_THAT(error("special_tokens_map.json", {{"bos", "x"}}), HasSubstr("\"bos\" is not a key"));
  EXPECT_THAT(
      error(config, {{"additional_special_tokens", {{{"content", "<x>"}, {"left_strip", true}}}}}),
      HasSubstr("\"left_strip\" is not a key"));
  EXPECT_EQ(tokenizer_json_error(Json::object()), "");
  EXPECT_THAT(tokenizer_json_error({{"post_processors", Json::object()}}),
              HasSubstr("\"post_processors\" is not a key"));
  EXPECT_THAT(tokenizer_json_error({{"model", {{"lowercase", true}}}}),
              AllOf(HasSubstr("\"model\""), HasSubstr("\"lowercase\" is not a key")));
  EXPECT_THAT(tokenizer_json_error({{"pre_tokenizer", {{"behaviour", 1}}}}),
              HasSubstr("\"behaviour\" is not a key"));
}

// transformers' save_pretrained of a GPT-2 tokenizer, versions 4.57 and 5.24.
TEST_F(TokenizerSettings, WhatTransformersWritesIsKnown) {
  Json end{{"content", "<|endoftext|>"},
           {"lstrip", false},
           {"normalized", true},
           {"rstrip", false},
           {"special", true},
           {"single_word", false}};
  EXPECT_EQ(error("tokenizer_config.json",
                  {{"add_prefix_space", false},
                   {"added_tokens_decoder", {{"261", end}}},
                   {"additional_special_tokens", Json::array()},
                   {"bos_token", "<|endoftext|>"},
                   {"clean_up_tokenization_spaces", true},
                   {"eos_token", {{"__type", "AddedToken"}, {"content", "<|endoftext|>"}}},
                   {"errors", "replace"},
                   {"extra_special_tokens", Json::object()},
                   {"add_bos_token", false},
                   {"backend", "tokenizers"},
                   {"is_local", true},
                   {"local_files_only", false},
                   {"model_max_length", 1024},
                   {"pad_token", nullptr},
                   {"tokenizer_class", "GPT2Tokenizer"},
                   {"unk_token", "<|endoftext|>"}}),
            "");
}

TEST_F(TokenizerSettings, WhatFolioDoesNotDoIsRefused) {
  EXPECT_THAT(error("tokenizer_config.json", {{"tokenizer_class", "LlamaTokenizer"}}),
              HasSubstr("\"tokenizer_class\" is \"LlamaTokenizer\""));
  EXPECT_THAT(error("tokenizer_config.json", {{"auto_map", {{"AutoTokenizer", "x.py"}}}}),
              HasSubstr("\"auto_map\""));
  EXPECT_THAT(tokenizer_json_error({{"decoder", {{"type", "WordPiece"}}}}),
              HasSubstr("\"decoder\" must be ByteLevel"));
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                          "byte_fallback", "ignore_merges"}) {
    EXPECT_THAT(tokenizer_json_error({{"model", {{key, "x"}}}}), HasSubstr(key));
    EXPECT_EQ(tokenizer_json_error({{"model", {{key, nullptr}}}}), "");
  }
}

TEST_F(TokenizerSettings, IdsThatContradictAreNamed) {
  EXPECT_THAT(error("added_tokens.json", {{"<x>", 263}}),
              HasSubstr("token \"<x>\" has id 263; transformers would give it 262"));
  EXPECT_THAT(error("added_tokens.json", {{"<|endoftext|>", 262}}),
              HasSubstr("token \"<|endoftext|>\" has id 262; transformers would give it 261, which "
                        "is its id in the vocabulary"));
  EXPECT_THAT(error("added_tokens.json", {{"<x>", "262"}}), HasSubstr("must be an integer"));
  EXPECT_THAT(error("tokenizer_config.json", {{"added_tokens_decoder", {{"x", "<x>"}}}}),
              HasSubstr("\"x\" is not an id"));
  EXPECT_THAT(error("tokenizer_config.json", Json::array()), HasSubstr("must be a JSON object"));
}

// A character tokenizer has no tokens beside its characters, nor another way to cut a text.
TEST(CharacterSettings, WhatFolioDoesNotDoIsRefused) {
  TemporaryFolder folder;
  auto error = [&](const Json& edit, const Json& config = Json::object()) {
    Json json{{"model", {{"type", "WordLevel"}, {"vocab", {{"a", 0}, {"b", 1}}}}}};
    json.merge_patch(edit);
    write_file(folder / "tokenizer.json", json.dump());
    write_file(folder / "tokenizer_config.json", config.dump());
    return error_of([&] { load_tokenizer_files(folder.path()); });
  };
  EXPECT_EQ(error(Json::object()), "");
  EXPECT_THAT(error({{"pre_tokenizer", {{"type", "Whitespace"}}}}), HasSubstr("\"pre_tokenizer\""));
  EXPECT_THAT(error({{"decoder", {{"type", "WordPiece"}}}}), HasSubstr("\"decoder\""));
  EXPECT_THAT(error({{"normalizer", {{"type", "Lowercase"}}}}), HasSubstr("\"normalizer\""));
  EXPECT_THAT(error({{"model", {{"max", 1}}}}), HasSubstr("\"max\" is not a key"));
  EXPECT_THAT(error({{"added_tokens", {{{"id", 2}, {"content", "<x>"}}}}}),
              HasSubstr("adds the token \"<x>\""));
  EXPECT_THAT(error(Json::object(), {{"pad_token", "<pad>"}}), HasSubstr("\"<pad>\""));
  EXPECT_EQ(error(Json::object(), {{"eos_token", "b"}}), "");
}

}  // namespace
}  // namespace folio
