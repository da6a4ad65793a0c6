#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "data/corpus/prepare.h"
#include "data/dataset/meta.h"
#include "data/files/files.h"
#include "data/tokenizer/bpe_files.h"
#include "data/tokenizer/byte_alphabet.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

// Datasets by tokenizers that are not GPT-2's: with a start token, without some bytes, and with
// pretokens that nobody knows a cut of.
namespace folio {
namespace {

using testing::HasSubstr;
using Ids = std::vector<int32_t>;

class OtherTokenizers : public testing::Test {
 protected:
  OtherTokenizers() { std::filesystem::create_directory(tokenizer_); }
  std::string run(PrepareOptions options) {
    options.name = "set";
    options.data_dir = folder_.path();
    options.tokenizer = tokenizer_;
    std::string told;
    options.tell = [&](const std::string& lines) { told += lines; };
    std::string error = error_of([&] { prepare(options); });
    return error.empty() ? told : error;
  }
  std::string file(const std::string& name, const std::string& text) {
    write_file(folder_ / name, text);
    return folder_ / name;
  }
  Dataset dataset() { return open_dataset(folder_ / "set"); }
  static Ids all(const TokenFile& file) {
    Ids ids(size_t(file.size()));
    file.read(0, ids);
    return ids;
  }
  Ids encode(std::string_view text) { return load_bpe(tokenizer_)->encode(text); }
  // The ASCII bytes as their own ids, then <s> and <|endoftext|>.
  void write_tokenizer(const std::string& post_processor, const std::string& pre_tokenizer) {
    std::string vocab;
    for (int byte = 0; byte < 128; ++byte) {
      std::string spelling = spell_bytes(std::string(1, char(byte)));
      if (spelling == "\"" || spelling == "\\") spelling = "\\" + spelling;
      vocab += fmt::format("\"{}\": {}, ", spelling, byte);
    }
    write_file(tokenizer_ + "/tokenizer.json",
               R"({"added_tokens": [{"id": 128, "content": "<s>", "special": true},)"
               R"( {"id": 129, "content": "<|endoftext|>", "special": true}],)"
               R"("pre_tokenizer": )" +
                   pre_tokenizer + post_processor + R"(, "model": {"type": "BPE", "vocab": {)" +
                   vocab + R"("<s>": 128, "<|endoftext|>": 129}, "merges": []}})");
  }
  static constexpr const char* byte_level = R"({"type": "ByteLevel", "add_prefix_space": false})";
  static constexpr const char* starts =
      R"(, "post_processor": {"type": "TemplateProcessing", "single":)"
      R"( [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],)"
      R"( "special_tokens": {"<s>": {"id": "<s>", "ids": [128], "tokens": ["<s>"]}}})";

  TemporaryFolder folder_;
  std::string tokenizer_ = folder_ / "tokenizer";
};

TEST_F(OtherTokenizers, DocumentsBeginWithTheStartToken) {
  write_tokenizer(starts, byte_level);
  file("in.jsonl", "{\"text\": \"ab\"}\n{\"text\": \"<s>c\"}\n{\"text\": \"d\"}\n");
  run({.input = folder_ / "in.jsonl", .val_fraction = 0.3, .allow_special = true});
  EXPECT_EQ(all(dataset().train), (Ids{128, 'a', 'b', 129, 128, 'c', 129}));
  EXPECT_EQ(all(dataset().val), (Ids{128, 'd', 129}));
  // A text is one document, whose end is the val split.
  run({.input = file("in.txt", "the old text")});
  EXPECT_EQ(all(dataset().train).front(), 128);
  EXPECT_EQ(all(dataset().train).size(), 11u);
  EXPECT_EQ(all(dataset().val), (Ids{'x', 't'}));
}

TEST_F(OtherTokenizers, WhatVanishesIsCounted) {
  write_tokenizer("", byte_level);
  for (int64_t threads : {1, 3})
    EXPECT_THAT(run({.input = file("in.txt", "caf\u00e9 \u00e9 na\u00efve and more of it"),
                     .threads = threads}),
                HasSubstr("6 bytes vanished, for which the tokenizer has no token: 0xc3 3 times, "
                          "0xa9 2 times, 0xaf 1 time; the first in " +
                          folder_ / "in.txt\n"));
  EXPECT_THAT(run({.input = file("in.txt", "nothing lost here")}),
              testing::Not(HasSubstr("vanished")));
}

// Where no cut is known to change nothing, a text is one piece.
TEST_F(OtherTokenizers, ALongTextIsWhatTheTokenizerMakesOfItWhole) {
  std::string text;
  std::mt19937 random(10);
  while (text.size() < 3000000) text += random() % 6 ? char('a' + random() % 26) : ' ';
  std::string path = file("in.txt", text);
  for (
      const char* steps :
      {R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "a[^a]* b"},)"
       R"( "behavior": "Removed", "invert": false}, {"type": "ByteLevel", "use_regex": false,)"
       R"( "add_prefix_space": false}]})",
       R"({"type": "ByteLevel", "add_prefix_space": true})"}) {
    write_tokenizer("", steps);
    run({.input = path, .val_fraction = 0.5, .threads = 3});
    EXPECT_TRUE(all(dataset().train) == encode(text.substr(0, text.size() / 2)));
    EXPECT_TRUE(all(dataset().val) == encode(text.substr(text.size() / 2)));
  }
}

}  // namespace
}  // namespace folio
