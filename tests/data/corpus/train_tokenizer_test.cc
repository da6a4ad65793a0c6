// `prepare` with a tokenizer of the corpus's own.
#include "data/corpus/train_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/process/stop.h"
#include "data/dataset/meta.h"
#include "data/dataset/text_bytes.h"
#include "data/files/files.h"
#include "data/text/utf8.h"
#include "data/tokenizer/bpe_files.h"
#include "data/tokenizer/training/train_bpe.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Words of a few scripts, between which a text is cut.
std::string random_text(size_t characters, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text;
  for (size_t n = 0; n < characters; ++n) {
    uint32_t kind = random() % 20;
    if (kind < 4)
      text += kind < 3 ? " " : "\n\n";
    else
      append_utf8(text, kind < 18 ? 'a' + random() % (n % 7 + 1) : 0x4e00 + random() % 9);
  }
  return text;
}

class TrainTokenizer : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) {
    std::string path = folder_ / name;
    fs::create_directories(fs::path(path).parent_path());
    write_file(path, text);
    return path;
  }
  std::string run(PrepareOptions options) {
    if (options.name.empty()) options.name = "set";
    options.data_dir = folder_ / "sets";
    if (options.tokenizer.empty()) options.tokenizer = "bpe";
    return error_of([&] { prepare(options); });
  }
  Dataset dataset(const std::string& name = "set") {
    return open_dataset(folder_ / "sets/" + name);
  }
  static std::string text_of(const Dataset& data, const TokenFile& tokens) {
    std::vector<int32_t> ids(size_t(tokens.size()));
    tokens.read(0, ids);
    return data.meta.tokenizer->decode(ids);
  }
  std::vector<std::string> tokens() { return load_bpe(folder_ / "sets/set")->vocabulary().tokens; }

  TemporaryFolder folder_;
};

// Chunks are a megabyte; neither they nor the threads they fall to may matter.
TEST_F(TrainTokenizer, IsThatOfTheWholeTrainSplitOnAnyThreads) {
  std::string text = random_text(4000000, 1), input = file("in.txt", text);
  for (int64_t threads : {1, 2, 5}) {
    ASSERT_EQ(run({.input = input, .vocab_size = 600, .threads = threads}), "");
    Dataset data = dataset();
    std::string train = text_of(data, data.train);
    EXPECT_TRUE(train + text_of(data, data.val) == text);
    ASSERT_GT(train.size(), 3u << 20);
    PretokenCounts part;
    part.add_text(train);
    SharedPretokenCounts counts;
    counts.add(part);
    BpeTokenizer expected(train_bpe(counts, {.vocab_size = 600}), "it");
    EXPECT_TRUE(*data.meta.tokenizer == expected) << threads;
    EXPECT_TRUE(*load_bpe(folder_ / "sets/set") == expected) << threads;
    EXPECT_EQ(text_bytes(data.train, *data.meta.tokenizer), int64_t(train.size()));
  }
}

TEST_F(TrainTokenizer, HasNotSeenVal) {
  std::string input = file("in.txt", std::string(900, 'a') + std::string(100, 'z'));
  ASSERT_EQ(run({.input = input, .vocab_size = 263}), "");  // "zz" would be the fifth merge
  EXPECT_THAT(tokens(), testing::Not(testing::Contains("zz")));
  EXPECT_THAT(tokens(), testing::Contains("aa"));
}

TEST_F(TrainTokenizer, ServesAnotherText) {
  ASSERT_EQ(run({.input = file("in.txt", random_text(9000, 2)), .vocab_size = 300}), "");
  ASSERT_EQ(run({.name = "other",
                 .input = file("other.txt", random_text(5000, 3)),
                 .tokenizer = folder_ / "sets/set"}),
            "");
  EXPECT_TRUE(*dataset("other").meta.tokenizer == *dataset().meta.tokenizer);
}

TEST_F(TrainTokenizer, OfDocumentsNoPairCrossesTheirEnds) {
  std::string lines;
  for (int n = 0; n < 50; ++n) lines += "{\"text\": \"ab\"}\n{\"none\": \"xx\"}\n";
  std::string input = file("in.jsonl", lines);
  EXPECT_THAT(run({.input = input, .vocab_size = 259}), HasSubstr("only 1 that occur"));
  EXPECT_THAT(run({.input = input, .vocab_size = 258, .strict = true}), HasSubstr("in.jsonl:2"));
  ASSERT_EQ(run({.input = input, .vocab_size = 258}), "");
  EXPECT_EQ(tokens().back(), "ab");
  Dataset data = dataset();
  EXPECT_EQ(data.train[0], 257);
  EXPECT_EQ(data.train[1], 0);
  EXPECT_EQ(text_bytes(data.train, *data.meta.tokenizer), data.train.size());  // "ab" and the end
  EXPECT_EQ(text_bytes(data.train, *data.meta.tokenizer, 1), data.train.size() - 2);
}

TEST_F(TrainTokenizer, LearnsNothingFromSpecialTokens) {
  std::string text;
  for (int n = 0; n < 20; ++n) text += "ab<|endoftext|>";
  std::string input = file("in.txt", text + std::string(20, ' '));
  EXPECT_THAT(run({.input = input, .vocab_size = 259, .allow_special = true}),
              HasSubstr("only 1 that occur"));
  ASSERT_EQ(run({.input = input, .vocab_size = 259}), "");
}

TEST_F(TrainTokenizer, RefusesWhatCannotBeAndLeavesWhatWas) {
  std::string input = file("in.txt", random_text(9000, 4));
  ASSERT_EQ(run({.input = input, .vocab_size = 300}), "");
  std::string before = read_file(folder_ / "sets/set/tokenizer.json");
  EXPECT_THAT(run({.input = input}), HasSubstr("needs --vocab_size=N, at least 257"));
  EXPECT_THAT(run({.input = input, .vocab_size = 256}), HasSubstr("got 256"));
  EXPECT_THAT(run({.input = input, .vocab_size = 300, .min_frequency = 0}),
              HasSubstr("min_frequency"));
  EXPECT_THAT(run({.input = input, .tokenizer = "char", .vocab_size = 300}),
              HasSubstr("no effect without --tokenizer=bpe"));
  EXPECT_THAT(run({.input = input, .tokenizer = "char", .min_frequency = 3}),
              HasSubstr("no effect without --tokenizer=bpe"));
  EXPECT_THAT(run({.input = input, .vocab_size = 60000}), HasSubstr("or less, or a longer text"));
  EXPECT_EQ(read_file(folder_ / "sets/set/tokenizer.json"), before);
  dataset();
  EXPECT_THAT(run({.name = "new", .input = input, .vocab_size = 60000}), HasSubstr("longer text"));
  EXPECT_FALSE(fs::exists(folder_ / "sets/new"));
}

TEST_F(TrainTokenizer, ARequestToStopLeavesWhatWas) {
  std::string input = file("in.txt", random_text(9000, 5));
  ASSERT_EQ(run({.input = input, .vocab_size = 270}), "");
  std::string before = read_file(folder_ / "sets/set/tokenizer.json");
  bool done = false;
  for (int n = 1; !done && n < 200; n += 3) {
    request_stop_at_check(15, n);
    try {
      EXPECT_EQ(run({.input = input, .vocab_size = 300, .threads = 1}), "");
      done = true;
    } catch (const Interrupted&) {
      EXPECT_EQ(read_file(folder_ / "sets/set/tokenizer.json"), before) << n;
      EXPECT_EQ(dataset().meta.tokenizer->vocab_size(), 270) << n;
      EXPECT_GE(n, 1);
    }
    forget_stop();
  }
  EXPECT_TRUE(done);
  EXPECT_EQ(dataset().meta.tokenizer->vocab_size(), 300);
}

// The text of a folder is not what prepare writes there.
TEST_F(TrainTokenizer, IsNoTextOfTheFolderThatItIsIn) {
  for (int n = 0; n < 20; ++n)
    file(fmt::format("sets/set/{:02}.txt", n), random_text(500, uint32_t(n)));
  ASSERT_EQ(run({.input = folder_ / "sets/set", .vocab_size = 270}), "");
  int64_t train = dataset().train.size();
  ASSERT_EQ(run({.input = folder_ / "sets/set", .vocab_size = 270}), "");
  EXPECT_EQ(dataset().train.size(), train);
}

}  // namespace
}  // namespace folio
