// What a sample starts from when nobody says.
#include "sample/start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Every byte a token, and the text's end where asked for.
BpeTokenizer bytes(bool end_of_text) {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary.tokens.push_back(std::string(1, char(byte)));
  if (end_of_text) {
    vocabulary.tokens.push_back("<|endoftext|>");
    vocabulary.added["<|endoftext|>"] = {.id = 256};
  }
  return BpeTokenizer(vocabulary, "bytes");
}

TEST(Start, WithoutOneIsTheEndOfTextOrANewlineOrTheFirstToken) {
  Start start = start_of("", bytes(true));
  EXPECT_THAT(start.tokens, ElementsAre(256));
  EXPECT_EQ(start.text, "");
  EXPECT_EQ(start.chosen, "the end-of-text token");

  for (Start newline :
       {start_of("", bytes(false)), start_of("", CharTokenizer(U"\n !")), start_of("\n", bytes(0))})
    EXPECT_EQ(newline.text, "\n");
  EXPECT_THAT(start_of("", bytes(false)).tokens, ElementsAre('\n'));
  EXPECT_THAT(start_of("", CharTokenizer(U"\n !")).tokens, ElementsAre(0));
  EXPECT_EQ(start_of("", CharTokenizer(U"\n !")).chosen, "a newline");

  start = start_of("", CharTokenizer(U"ACGT"));
  EXPECT_THAT(start.tokens, ElementsAre(0));
  EXPECT_EQ(start.text, "A");
  EXPECT_THAT(start.chosen, HasSubstr("\"A\""));
  EXPECT_THROW(start_of("", CharTokenizer()), Error);
}

TEST(Start, AGivenOneIsTakenAsItIs) {
  for (std::string text : {"\n", "AB", "<|endoftext|>"}) {
    Start start = start_of(text, bytes(true));
    EXPECT_EQ(start.text, text);
    EXPECT_EQ(start.chosen, "");
  }
  EXPECT_THAT(start_of("<|endoftext|>A", bytes(true)).tokens, ElementsAre(256, 'A'));
  EXPECT_THAT(message_of([] { start_of("\n", CharTokenizer(U"ACGT")); }), HasSubstr("lacks"));
}

TEST(Start, TheTokenizersStartTokensComeFirstOnce) {
  BpeVocabulary vocabulary = bytes(true).vocabulary();
  BpeTokenizer tokenizer(vocabulary, "bytes", {.starts = {256}});
  EXPECT_THAT(start_of("A", tokenizer).tokens, ElementsAre(256, 'A'));
  EXPECT_THAT(start_of("<|endoftext|>A", tokenizer).tokens, ElementsAre(256, 'A'));
  EXPECT_EQ(start_of("A", tokenizer).text, "A");
  EXPECT_THAT(start_of("", tokenizer).tokens, ElementsAre(256));
  EXPECT_EQ(start_of("", tokenizer).chosen, "the token that texts start with");
}

}  // namespace
}  // namespace folio
