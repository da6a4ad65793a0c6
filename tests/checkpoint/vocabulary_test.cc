// Which datasets' ids a model takes for its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/open_model.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/byte_alphabet.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::shared_ptr<const Tokenizer> characters(std::u32string characters) {
  return std::make_shared<CharTokenizer>(std::move(characters));
}

// Every byte, and more of them for `tokens` in all.
std::shared_ptr<const Tokenizer> byte_pairs(int tokens) {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary.tokens.push_back({char(byte)});
  for (int id = 256; id < tokens; ++id) {
    vocabulary.tokens.push_back(fmt::format("<{}>", id));
    vocabulary.added[vocabulary.tokens.back()] = {.id = id};
  }
  return std::make_shared<BpeTokenizer>(std::move(vocabulary), "a test");
}

struct Answer {
  std::string remark, error;
};

Answer check(int64_t rows, std::shared_ptr<const Tokenizer> model,
             std::shared_ptr<const Tokenizer> dataset, bool allow_other = false) {
  Meta meta{.tokenizer = dataset, .source = "a text"};
  Answer answer;
  answer.error = error_of(
      [&] { answer.remark = check_vocabulary("m", rows, model.get(), meta, allow_other); });
  return answer;
}

TEST(Vocabulary, WithoutATokenizerHasAsManyTokensAsTheModelHasRows) {
  EXPECT_EQ(check(4, nullptr, characters(U"abcd")).error, "");
  EXPECT_EQ(check(4, nullptr, characters(U"abcd")).remark, "");
  for (const auto& dataset : {characters(U"abc"), byte_pairs(300)})
    for (int64_t rows : {26, 1000})
      EXPECT_THAT(check(rows, nullptr, dataset).error,
                  AllOf(HasSubstr("m: the model has another vocabulary"), HasSubstr("a text")));
}

TEST(Vocabulary, OfAnotherModelIsTakenWhereTheUserAsksForIt) {
  EXPECT_THAT(check(26, nullptr, characters(U"abc")).error, HasSubstr("--allow_other_vocab=true"));
  for (const auto& model : {std::shared_ptr<const Tokenizer>(), characters(U"xyz")}) {
    Answer allowed = check(26, model, characters(U"abc"), true);
    EXPECT_EQ(allowed.error, "");
    EXPECT_THAT(allowed.remark, AllOf(HasSubstr("another vocabulary, of 26"), HasSubstr("of 3")));
  }
  // But not where the model has no row for an id.
  EXPECT_THAT(check(2, nullptr, characters(U"abc"), true).error, HasSubstr("another vocabulary"));
}

TEST(Vocabulary, OfByteLevelBpeMayBePaddedInTheModel) {
  for (auto [rows, tokens] : {std::pair{50304, 50257},
                              {50264, 50257},
                              {304, 300},
                              {320, 300},
                              {384, 300},
                              {512, 300},
                              {1024, 300}}) {
    Answer answer = check(rows, nullptr, byte_pairs(tokens));
    EXPECT_EQ(answer.error, "") << rows;
    EXPECT_THAT(answer.remark,
                AllOf(HasSubstr(fmt::format("{} rows", rows)), HasSubstr("padding")));
  }
  for (int rows : {301, 321, 392, 2048})
    EXPECT_NE(check(rows, nullptr, byte_pairs(300)).error, "") << rows;
  EXPECT_NE(check(64, nullptr, characters(U"abc")).error, "");
  // Of a model with a tokenizer, the tokenizer decides.
  EXPECT_EQ(check(384, byte_pairs(300), byte_pairs(300)).error, "");
  EXPECT_NE(check(384, byte_pairs(301), byte_pairs(300)).error, "");
}

}  // namespace
}  // namespace folio
