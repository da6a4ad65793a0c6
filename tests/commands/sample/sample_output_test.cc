// What is printed: characters, samples in order, tables of probabilities, and turns.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "commands/sample/conversation.h"
#include "commands/sample/probability_table.h"
#include "commands/sample/sample_output.h"
#include "core/process/stop.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/sample/tiny_model.h"

namespace folio {
namespace {

using testing::HasSubstr;

// A token a byte, as the byte-level vocabularies have them, and 256 for the end of a text.
class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(std::vector<int32_t> starts = {}) : starts_(std::move(starts)) {}
  std::vector<int32_t> start_tokens() const override { return starts_; }
  int64_t vocab_size() const override { return 257; }
  std::vector<int32_t> encode(std::string_view text, SpecialTokens) const override {
    check(text.find('#') == text.npos, "the vocabulary lacks '#'");
    std::vector<int32_t> ids;
    for (char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (int32_t id : ids)
      text += id == 256 ? std::string("<|endoftext|>") : std::string(1, char(id));
    return text;
  }
  std::optional<int32_t> end_of_text() const override { return 256; }
  nlohmann::ordered_json to_json() const override { return {}; }

 private:
  std::vector<int32_t> starts_;
};

// What was printed.
class Page {
 public:
  std::string text() const { return text_; }
  Print print() {
    return [this](const std::string& text) { text_ += text; };
  }

 private:
  std::string text_;
};

// Lines that a conversation reads.
class Typed {
 public:
  explicit Typed(const std::string& text) : file_(std::tmpfile()) {
    std::fputs(text.c_str(), file_);
    std::rewind(file_);
  }
  ~Typed() { std::fclose(file_); }
  std::FILE* file() { return file_; }

 private:
  std::FILE* file_;
};

int32_t id(char c) { return static_cast<unsigned char>(c); }

TEST(SampleOutput, SamplesDrawnTogetherArePrintedInOrder) {
  Page page;
  ByteTokenizer tokenizer;
  SampleOutput output(page.print(), tokenizer, "say: ", {.num_samples = 3});
  auto show = [&](size_t sample, char c) { EXPECT_TRUE(output.show({sample, id(c), {}})); };
  show(2, 'x');
  show(0, 'a');
  show(1, 'p');
  EXPECT_EQ(page.text(), "say: a");
  output.end(2);
  show(0, 'b');
  output.end(0);
  EXPECT_EQ(page.text(), "say: ab\n---------------\nsay: p");
  show(1, 'q');
  EXPECT_THAT(page.text(), HasSubstr("say: pq"));
  output.end(1);
  EXPECT_EQ(page.text(),
            "say: ab\n---------------\nsay: pq\n---------------\nsay: x\n---------------\n");
}

TEST(SampleOutput, NeitherHalfACharacterNorAPartOfAStopString) {
  Page page;
  ByteTokenizer tokenizer;
  SampleOutput output(page.print(), tokenizer, "", {.num_samples = 1, .stop = {"END"}});
  for (char c : std::string("\xe2\x82")) output.show({0, id(c), {}});
  EXPECT_EQ(page.text(), "");
  output.show({0, 0xac, {}});
  output.show({0, 'E', {}});
  output.show({0, 'N', {}});
  EXPECT_EQ(page.text(), "€");
  EXPECT_FALSE(output.show({0, 'D', {}}));
  output.end(0);
  EXPECT_EQ(page.text(), "€\n");
}

TEST(SampleOutput, ATextThatEndsInsideACharacterSaysSo) {
  Page page;
  ByteTokenizer tokenizer;
  SampleOutput output(page.print(), tokenizer, "", {.num_samples = 1, .stop = {"END"}});
  for (char c : std::string("EN\xe2\x82")) output.show({0, id(c), {}});
  output.end(0);
  EXPECT_EQ(page.text(), "EN\xef\xbf\xbd\n");
}

// Interrupted: what the samples have by then, in order, and nothing of those that had not begun.
TEST(SampleOutput, BrokenOffItPrintsWhatThereIs) {
  ByteTokenizer tokenizer;
  const std::string line = "\n---------------\n";
  for (bool second_ended : {false, true}) {
    Page page;
    SampleOutput output(page.print(), tokenizer, "say: ", {.num_samples = 4, .stop = {"END"}});
    for (char c : std::string("aE")) output.show({0, id(c), {}});
    output.show({1, id('p'), {}});
    output.show({2, id('x'), {}});
    if (second_ended) output.end(1);
    EXPECT_EQ(page.text(), "say: a");
    output.break_off();
    EXPECT_EQ(page.text(), "say: aE" + line + "say: p" + line + "say: x" + line);
  }
  Page page;
  SampleOutput(page.print(), tokenizer, "say:", {.num_samples = 1}).break_off();
  EXPECT_EQ(page.text(), "say:\n");
}

TEST(ProbabilityTable, ARowIsReadable) {
  ByteTokenizer tokenizer;
  std::vector<TokenProbability> row{{'A', 0.25}, {'\n', 0.5}, {0xe2, 0.125}};
  EXPECT_EQ(probability_row(tokenizer, row),
            "\"A\"                  25.00 %   -1.3863   \"\\n\" 50.00 %  \"\\xe2\" 12.50 %\n");
  EXPECT_EQ(quoted_token(tokenizer, '"'), "\"\\\"\"");
  EXPECT_EQ(quoted_token(tokenizer, 256), "\"<|endoftext|>\"");

  Page page;
  SampleOutput output(page.print(), tokenizer, "say:", {.num_samples = 1, .logprobs = 0});
  output.show({0, 'x', [] { return std::vector<float>(257, 0); }});
  output.end(0);
  EXPECT_EQ(page.text(),
            "say:\ntoken            probability       log\n"
            "\"x\"                   0.39 %   -5.5491\n");
}

GenerateOptions short_turns() {
  return {.max_new_tokens = 5, .sampler = {.temperature = 1}, .end_tokens = {256}};
}

// Three turns over the cache are one text: what the model adds is what it adds to all of the text
// before, read at once.
TEST(Conversation, TurnsAreOneText) {
  auto model = a_model(257);
  auto tokenizer = std::make_shared<ByteTokenizer>();
  Conversation turns(*model, tokenizer, short_turns(), {});
  turns.begin_with("once ");
  Tokens all;
  Decoder alone(*model, {.window = {T, PastBlock::block}, .kv_cache = false});
  uint64_t drawn = 0;
  for (std::string line : {"upon\n", "a\n", "time there was a\n"}) {
    std::string printed;
    EXPECT_TRUE(turns.turn(line, [&](const std::string& text) { printed += text; }));
    Tokens added = tokenizer->encode((all.empty() ? "once " : "") + line, SpecialTokens::as_text);
    all.insert(all.end(), added.begin(), added.end());
    Utf8Stream characters;
    std::string expected;
    for (int i = 0; i < 5; ++i) {
      if (alone.size() > 0) alone.remove(0);
      alone.add(all);
      alone.step();
      int32_t token = alone.draw({}, std::vector{RowDraw{{1337, 0}, drawn++}})[0];
      if (token == 256) break;
      all.push_back(token);
      expected += characters.push(tokenizer->decode({&token, 1}));
    }
    EXPECT_EQ(printed, expected + characters.finish());
    EXPECT_EQ(turns.length(), std::ssize(all));
  }
  EXPECT_GT(turns.length(), T);
}

TEST(Conversation, BeginsOnceWithTheTokensThatTextsStartWith) {
  auto model = a_model(257);
  auto ignore = [](const std::string&) {};
  GenerateOptions one_token = short_turns();
  one_token.max_new_tokens = 1;
  one_token.end_tokens.clear();
  Conversation plain(*model, std::make_shared<ByteTokenizer>(), one_token, {});
  Conversation started(*model, std::make_shared<ByteTokenizer>(Tokens{256}), one_token, {});
  for (int turn = 0; turn < 2; ++turn) {
    plain.turn("a\n", ignore);
    started.turn("a\n", ignore);
    EXPECT_EQ(started.length(), plain.length() + 1);
  }
}

TEST(Conversation, ALineThatCannotBeSpelledAddsNothing) {
  auto model = a_model(257);
  Conversation turns(*model, std::make_shared<ByteTokenizer>(), short_turns(), {});
  auto ignore = [](const std::string&) {};
  turns.turn("a\n", ignore);
  int64_t before = turns.length();
  EXPECT_THROW(turns.turn("#\n", ignore), Error);
  EXPECT_EQ(turns.length(), before);
  EXPECT_THROW(
      Conversation(*model, std::make_shared<ByteTokenizer>(), short_turns(), {}).turn("", ignore),
      Error);
}

TEST(Conversation, ReadsLinesUntilTheEndOfTheFile) {
  auto model = a_model(257);
  Typed typed("first\\\nsecond\n");
  LineEditor lines(typed.file());
  Page out;
  GenerateOptions options = short_turns();
  options.max_new_tokens = 1;
  options.sampler.temperature = 0;
  Conversation turns(*model, std::make_shared<ByteTokenizer>(), options, {});
  turns.run(lines, out.print());
  EXPECT_EQ(turns.length(), 5 + 1 + 7 + 1);
}

// The vocabulary of a text of one line: Enter adds nothing to the text.
TEST(Conversation, LinesGoOnWithoutANewlineWhereTheVocabularyHasNone) {
  auto model = a_model(4);
  Typed typed("AC\nGT\n");
  LineEditor lines(typed.file());
  Page out;
  Conversation turns(*model, std::make_shared<CharTokenizer>(U"ACGT"), {.max_new_tokens = 3}, {});
  turns.run(lines, out.print());
  EXPECT_EQ(turns.length(), 2 + 3 + 2 + 3);
}

// Whatever a turn had added is printed and stays, and the text goes on as if the stop had been its
// end.
TEST(Conversation, AStopEndsATurnAndTheTextCanGoOn) {
  auto model = a_model(257);
  auto tokenizer = std::make_shared<ByteTokenizer>();
  GenerateOptions options = short_turns();
  options.end_tokens.clear();
  options.max_new_tokens = 3;
  Conversation uninterrupted(*model, tokenizer, options, {});
  Page expected;
  uninterrupted.turn("once", expected.print());
  uninterrupted.turn("upon", expected.print());

  options.max_new_tokens = 100;
  Conversation turns(*model, tokenizer, options, {});
  Page page;
  for (std::string line : {"once", "upon"}) {
    int printed = 0;
    auto stop_at_the_third = [&](const std::string& text) {
      page.print()(text);
      if (++printed == 3) request_stop(SIGINT);
    };
    EXPECT_THROW(turns.turn(line, stop_at_the_third), Interrupted);
    forget_stop();
  }
  EXPECT_EQ(turns.length(), uninterrupted.length());
  EXPECT_EQ(page.text(), expected.text());
}

// From a pipe that is open and empty.
TEST(LineEditor, AStopEndsTheWaitForALine) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::FILE* in = fdopen(ends[0], "r");
  LineEditor lines(in);
  EXPECT_FALSE(lines.on_terminal());
  ASSERT_EQ(write(ends[1], "a\nb", 3), 3);
  EXPECT_EQ(lines.read(), "a");
  request_stop(SIGTERM);
  EXPECT_THROW(lines.read(), Interrupted);
  forget_stop();
  close(ends[1]);
  EXPECT_EQ(lines.read(), "b");
  EXPECT_EQ(lines.read(), std::nullopt);
  std::fclose(in);
}

TEST(Conversation, WhatCannotBePrintedEndsIt) {
  auto model = a_model(257);
  Typed typed("a\nb\n");
  LineEditor lines(typed.file());
  Conversation turns(*model, std::make_shared<ByteTokenizer>(), short_turns(), {});
  EXPECT_THROW(turns.run(lines, [](const std::string&) { fail("no space"); }), Error);
}

TEST(Conversation, StopsWhereTheContextIsFull) {
  auto model = a_model(257);
  GenerateOptions options = short_turns();
  options.past_block = PastBlock::stop;
  options.max_new_tokens = 100;
  options.end_tokens.clear();
  Conversation turns(*model, std::make_shared<ByteTokenizer>(), options, {});
  EXPECT_FALSE(turns.turn("a", [](const std::string&) {}));
  EXPECT_EQ(turns.length(), T + 1);
}

}  // namespace
}  // namespace folio
