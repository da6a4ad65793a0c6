#include "data/corpus/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "data/dataset/meta.h"
#include "data/files/files.h"
#include "data/text/utf8.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/file_size_limit.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"
#include "tests/paths.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Prepare : public testing::Test {
 protected:
  // Prepares `text` as dataset "set"; returns what was told.
  std::string prepare_text(const std::string& text) {
    write_file(folder_ / "in.txt", text);
    std::string told;
    prepare({.name = "set",
             .input = folder_ / "in.txt",
             .data_dir = folder_.path(),
             .tell = [&](const std::string& lines) { told += lines; }});
    return told;
  }
  Dataset dataset() { return open_dataset(folder_ / "set"); }

  TemporaryFolder folder_;
};

std::vector<int32_t> all(const TokenFile& file) {
  std::vector<int32_t> ids(size_t(file.size()));
  file.read(0, ids);
  return ids;
}

TEST_F(Prepare, WritesNanoGptsFiles) {
  std::string output = prepare_text("b\u00e9b\nb\u00e9b\nb\u00e9b");  // 11 characters, 3 of them
  EXPECT_THAT(output, AllOf(HasSubstr("length of dataset in characters: 11\n"),
                            HasSubstr("all the unique characters: \nb\u00e9\n"),
                            HasSubstr("vocab size: 3\n"), HasSubstr("train has 9 tokens\n"),
                            HasSubstr("val has 2 tokens\n"), HasSubstr(folder_ / "set")));
  EXPECT_EQ(read_file(folder_ / "set/train.bin"),
            std::string("\1\0\2\0\1\0\0\0\1\0\2\0\1\0\0\0\1\0", 18));
  EXPECT_EQ(read_file(folder_ / "set/val.bin"), std::string("\2\0\1\0", 4));
  Dataset data = dataset();
  EXPECT_EQ(data.meta.source, folder_ / "in.txt");
  EXPECT_EQ(*data.meta.tokenizer, CharTokenizer(U"\nb\u00e9"));
  EXPECT_EQ(data.train.vocab_size(), 3);
}

// The lengths at which int(n * 0.9) in Python differs from rounding, or from n * 9 / 10 in reals.
TEST_F(Prepare, SplitsWherePythonDoes) {
  const std::pair<size_t, int64_t> cases[] = {{2, 1}, {3, 2}, {9, 8}, {10, 9}, {19, 17}, {20, 18}};
  for (auto [length, train] : cases) {
    prepare_text(std::string(length, 'x'));
    EXPECT_EQ(dataset().train.size(), train) << length;
    EXPECT_EQ(dataset().val.size(), int64_t(length) - train) << length;
  }
}

TEST_F(Prepare, RandomTextComesBack) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 10; ++trial) {
    std::string text;
    size_t length = 2 + random() % 100000;
    for (size_t i = 0; i < length; ++i) {
      char32_t c = random() % (trial % 2 ? 0x3000 : 0x80);
      append_utf8(text, c);
    }
    prepare_text(text);
    Dataset data = dataset();
    EXPECT_EQ(data.train.size(), int64_t(double(length) * 0.9));
    EXPECT_TRUE(data.meta.tokenizer->decode(all(data.train)) +
                    data.meta.tokenizer->decode(all(data.val)) ==
                text);
  }
}

TEST_F(Prepare, TinyShakespeareHasItsKnownCounts) {
  std::string input = source_path("../shared/data/tinyshakespeare/input.txt");
  if (!std::filesystem::exists(input)) GTEST_SKIP() << "there is no " << input;
  EXPECT_THAT(
      prepare_text(read_file(input)),
      AllOf(HasSubstr("characters: 1,115,394\n"), HasSubstr("vocab size: 65\n"),
            HasSubstr("train has 1,003,854 tokens\n"), HasSubstr("val has 111,540 tokens\n")));
}

TEST_F(Prepare, RejectsTextsItCannotUseAndKeepsTheOldDataset) {
  prepare_text("the old text");
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {"x", "1 character cannot be split"},
      {"abc\xff", "offset 3"},
      {"\u00e9\xed\xa0\x80", "offset 2"},
  };
  for (const auto& [text, why] : cases) {
    EXPECT_THAT(error_of([&, &text = text] { prepare_text(text); }),
                AllOf(HasSubstr("in.txt"), HasSubstr(why)));
    Dataset data = dataset();
    EXPECT_EQ(data.meta.tokenizer->decode(all(data.train)), "the old te");
    EXPECT_EQ(data.meta.tokenizer->decode(all(data.val)), "xt");
  }
}

// 65,536 characters are the most that ids of 16 bits, nanoGPT's, can stand for.
TEST_F(Prepare, IdsAreAsWideAsTheVocabularyNeeds) {
  for (int64_t distinct : {65536, 65537}) {
    std::string text;
    for (int64_t i = 0; i < distinct; ++i) append_utf8(text, char32_t(0x10000 + i));
    prepare_text(text + text);
    const Dataset data = dataset();
    EXPECT_EQ(data.meta.tokenizer->vocab_size(), distinct);
    const std::string bytes = read_file(folder_ / "set/val.bin"),
                      meta = read_file(folder_ / "set/meta.json");
    if (distinct == 65536) {
      EXPECT_EQ(bytes.substr(bytes.size() - 4), std::string("\xfe\xff\xff\xff", 4));
      EXPECT_THAT(meta, HasSubstr("\"dtype\": \"uint16\""));
    } else {
      EXPECT_EQ(bytes.substr(bytes.size() - 8), std::string("\xff\xff\0\0\0\0\1\0", 8));
      EXPECT_THAT(meta, HasSubstr("\"dtype\": \"uint32\""));
    }
    EXPECT_EQ(
        data.meta.tokenizer->decode(all(data.train)) + data.meta.tokenizer->decode(all(data.val)),
        text + text);
  }
}

// Room for some of train.bin, which takes 720,000 bytes.
TEST_F(Prepare, AFullDiskLeavesTheOldDataset) {
  prepare_text("the old text");
  std::string text(400000, 'x'), path = folder_ / "long.txt";
  write_file(path, text);
  {
    FileSizeLimit limit(500000);
    EXPECT_THAT(
        error_of([&] { prepare({.name = "set", .input = path, .data_dir = folder_.path()}); }),
        AllOf(HasSubstr(folder_ / "set"), HasSubstr("File too large")));
  }
  EXPECT_EQ(dataset().meta.tokenizer->decode(all(dataset().train)), "the old te");
  std::filesystem::directory_iterator files(folder_ / "set");
  EXPECT_EQ(std::distance(files, {}), 3);  // and nothing half-written beside it
}

TEST_F(Prepare, RejectsNamesAndInputsThatAreNone) {
  auto error = [&](std::string name, std::string input) {
    return error_of([&] { prepare({.name = name, .input = input, .data_dir = folder_.path()}); });
  };
  EXPECT_THAT(error("", "x"), HasSubstr("--name"));
  EXPECT_THAT(error("..", "x"), HasSubstr("cannot name"));
  EXPECT_THAT(error("a/b", "x"), HasSubstr("cannot name"));
  EXPECT_THAT(error("mine", ""), HasSubstr("--input=FILE"));
  EXPECT_THAT(error("mine", folder_ / "none"), HasSubstr("No such file"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "mine"));
}

TEST_F(Prepare, MetaThatIsDamagedOrOfAnotherDatasetIsNamed) {
  EXPECT_THAT(error_of([&] { dataset(); }), HasSubstr("folio prepare"));
  prepare_text("abcabcabcabc");
  std::string path = folder_ / "set/meta.json", meta = read_file(path);
  auto with = [&](std::string from, std::string to) {
    std::string changed = meta;
    changed.replace(changed.find(from), from.size(), to);
    write_file(path, changed);
    return error_of([&] { dataset(); });
  };
  EXPECT_THAT(with("{", ""), AllOf(HasSubstr("meta.json"), HasSubstr("not JSON")));
  for (const char* key : {"vocab_size", "train_tokens", "val_tokens", "source", "tokenizer"})
    EXPECT_THAT(with(key, "x"), AllOf(HasSubstr("meta.json"), HasSubstr(key)));
  EXPECT_THAT(with(": 3", ": 4"), HasSubstr("\"vocab_size\" is 4"));
  EXPECT_THAT(with(": 10", ": -10"), HasSubstr("must be a count"));
  EXPECT_THAT(with(": 10", ": 11"), HasSubstr("has 10 tokens"));
  EXPECT_THAT(with(": 2,", ": 3,"), HasSubstr("has 2 tokens"));
  EXPECT_EQ(with("{", "{"), "");
}

}  // namespace
}  // namespace folio
