#include "data/corpus/token_dataset.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "data/corpus/text_chunks.h"
#include "data/dataset/meta.h"
#include "data/files/files.h"
#include "data/text/utf8.h"
#include "data/tokenizer/bpe_files.h"
#include "tests/data/file_size_limit.h"
#include "tests/data/temporary_folder.h"
#include "tests/data/tokenizer/gpt2_files.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Ids = std::vector<int32_t>;

Ids all(const TokenFile& file) {
  Ids ids(size_t(file.size()));
  file.read(0, ids);
  return ids;
}

// Words, numbers, lines and other scripts, a few of them very long.
std::string random_text(size_t characters, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text;
  for (size_t n = 0; n < characters; ++n) {
    uint32_t kind = random() % 40;
    if (kind < 7)
      text += kind < 6 ? ' ' : '\n';
    else if (kind < 36)
      text += char('a' + random() % 26);
    else
      append_utf8(text, kind < 38 ? '0' + random() % 10 : 0x4e00 + random() % 100);
    if (random() % 20000 == 0) text += std::string(3000, 'x'), n += 3000;
  }
  return text;
}

class TokenDataset : public testing::Test {
 protected:
  TokenDataset() {  // 256 bytes, "th", "the" and the end of text
    BpeVocabularyBuilder builder;
    add_bytes(builder);
    builder.add_token("th", 256, "a test");
    builder.add_token("the", 257, "a test");
    builder.add_special("<|endoftext|>", 258, "a test");
    builder.add_merge("t", "h", "a test");
    builder.add_merge("th", "e", "a test");
    BpeVocabulary vocabulary = builder.finish("a test");
    std::filesystem::create_directory(tokenizer_);
    write_file(tokenizer_ + "/vocab.json", vocab_json(vocabulary));
    write_file(tokenizer_ + "/merges.txt", merges_txt(vocabulary));
  }
  std::string run(PrepareOptions options) {
    options.name = "set";
    options.data_dir = folder_.path();
    if (options.tokenizer.empty()) options.tokenizer = tokenizer_;
    std::string told;
    options.tell = [&](const std::string& lines) { told += lines; };
    std::string error = error_of([&] { prepare(options); });
    return error.empty() ? told : error;
  }
  std::string file(const std::string& name, const std::string& text) {
    std::string path = folder_ / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_file(path, text);
    return path;
  }
  Dataset dataset() { return open_dataset(folder_ / "set"); }
  // The texts before each end of text.
  static std::vector<std::string> documents(const Dataset& data, const TokenFile& tokens) {
    std::vector<std::string> found(1);
    for (int32_t id : all(tokens)) {
      if (id == 258)
        found.emplace_back();
      else
        found.back() += data.meta.tokenizer->decode(std::span(&id, 1));
    }
    EXPECT_EQ(found.back(), "");
    found.pop_back();
    return found;
  }
  std::vector<std::string> train_documents() { return documents(dataset(), dataset().train); }
  std::vector<std::string> val_documents() { return documents(dataset(), dataset().val); }
  Ids encode(std::string_view text) { return load_bpe(tokenizer_)->encode(text); }

  TemporaryFolder folder_;
  std::string tokenizer_ = folder_ / "tokenizer";
};

TEST_F(TokenDataset, SplitsByCharactersAndEncodesEachSplitOnItsOwn) {
  std::string text = "\u4f60" + std::string(16, '-') + "\u597dthe";  // 21 characters: 18 and 3
  EXPECT_THAT(run({.input = file("in.txt", text)}),
              AllOf(HasSubstr("length of dataset in characters: 21\n"),
                    HasSubstr("vocab size: 259\n"), HasSubstr("val has 1 tokens\n")));
  Dataset data = dataset();
  EXPECT_EQ(all(data.train), encode(text.substr(0, text.size() - 3)));
  EXPECT_EQ(all(data.val), Ids{257});
  EXPECT_EQ(data.meta.source, folder_ / "in.txt");
  EXPECT_EQ(data.meta.tokenizer->end_of_text(), 258);
  run({.input = folder_ / "in.txt", .val_fraction = 2.0 / 21});
  EXPECT_EQ(all(dataset().val), encode("he"));
}

// Chunks are a megabyte; what threads they fall to must not matter.
TEST_F(TokenDataset, ALongTextIsWhatTheTokenizerMakesOfItWhole) {
  std::string text = random_text(4000000, 6), path = file("in.txt", text);
  int64_t characters = 0, train_bytes = 0;
  for_each_code_point(text, "it", [&](char32_t, size_t) { ++characters; });
  int64_t n = 0;
  for_each_code_point(text, "it", [&](char32_t, size_t at) {
    if (n++ == int64_t(double(characters) * 0.9)) train_bytes = int64_t(at);
  });
  for (int64_t threads : {1, 2, 5}) {
    run({.input = path, .threads = threads});
    EXPECT_TRUE(all(dataset().train) == encode(text.substr(0, size_t(train_bytes)))) << threads;
    EXPECT_TRUE(all(dataset().val) == encode(text.substr(size_t(train_bytes)))) << threads;
  }
}

TEST_F(TokenDataset, ChunksJoinToTheTextAndAreCutSafely) {
  std::string text = random_text(30000, 7), path = file("in.txt", text), joined;
  Ids ids;
  int count = 0;
  TextChunks chunks(path, 10, int64_t(text.size()) - 5, 500);
  while (auto chunk = chunks.next()) {
    EXPECT_EQ(chunk->offset, 10 + int64_t(joined.size()));
    joined += chunk->text;
    for (int32_t id : encode(chunk->text)) ids.push_back(id);
    ++count;
  }
  EXPECT_GT(count, 40);
  EXPECT_EQ(joined, text.substr(10, text.size() - 15));
  EXPECT_EQ(ids, encode(joined));
}

TEST_F(TokenDataset, StandardInputIsAFile) {
  std::string text = random_text(50000, 8), path = file("in.txt", text);
  run({.input = path});
  Ids train = all(dataset().train), val = all(dataset().val);
  int saved = dup(STDIN_FILENO), opened = open(path.c_str(), O_RDONLY);
  dup2(opened, STDIN_FILENO);
  EXPECT_THAT(run({.input = "-"}), HasSubstr("characters: "));
  dup2(saved, STDIN_FILENO);
  close(saved);
  close(opened);
  EXPECT_EQ(all(dataset().train), train);
  EXPECT_EQ(all(dataset().val), val);
  std::filesystem::directory_iterator files(folder_ / "set");
  EXPECT_EQ(std::distance(files, {}), 3);  // nothing is left of the pipe's text
}

TEST_F(TokenDataset, AFoldersFilesEndWithTheEndOfText) {
  for (int i = 0; i < 40; ++i)
    file(fmt::format("corpus/{}/{:02}.txt", i % 3, i), fmt::format("the {}", i));
  file("corpus/.hidden/x.txt", "not me");
  file("corpus/.x", "not me");
  file("corpus/empty", "");
  std::string corpus = folder_ / "corpus";
  EXPECT_THAT(run({.input = corpus}), HasSubstr("documents for train, "));
  auto train = train_documents(), val = val_documents();
  EXPECT_EQ(train.size() + val.size(), 40u);
  EXPECT_THAT(val.size(),
              testing::AllOf(testing::Ge(4u), testing::Le(5u)));  // a tenth of the bytes
  std::vector<std::string> both = train, expected;
  both.insert(both.end(), val.begin(), val.end());
  for (int i = 0; i < 40; ++i) expected.push_back(fmt::format("the {}", i));
  EXPECT_THAT(both, testing::UnorderedElementsAreArray(expected));
  // In the order of their paths.
  std::vector<std::string> sorted;
  for (int folder = 0; folder < 3; ++folder)
    for (int i = folder; i < 40; i += 3)
      if (std::ranges::count(train, fmt::format("the {}", i)))
        sorted.push_back(fmt::format("the {}", i));
  EXPECT_EQ(train, sorted);
  // The same whatever the threads.
  run({.input = corpus, .threads = 3});
  EXPECT_EQ(train_documents(), train);
  EXPECT_EQ(val_documents(), val);
}

// Four notes and a book: drawn by number, the book could be all of val.
TEST_F(TokenDataset, AFilesTooLargeForItsShareIsSplitItself) {
  for (const char* book : {"a", "c", "e"}) {
    std::filesystem::remove_all(folder_ / "corpus");
    for (const char* name : {"a", "b", "c", "d", "e"})
      file(fmt::format("corpus/{}.txt", name),
           std::string(name == std::string(book) ? 60000 : 500, *name));
    run({.input = folder_ / "corpus"});
    double train = double(dataset().train.size()), val = double(dataset().val.size());
    EXPECT_NEAR(val / (train + val), 0.1, 0.01) << book;
    // Every file is in both: its end in val.
    std::vector<std::string> expected_train, expected_val;
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      size_t size = name == std::string(book) ? 60000 : 500;
      expected_train.emplace_back(size - size / 10, *name);
      expected_val.emplace_back(size / 10, *name);
    }
    EXPECT_EQ(train_documents(), expected_train);
    EXPECT_EQ(val_documents(), expected_val);
  }
}

TEST_F(TokenDataset, WhatIsNoTextIsLeftOutAndNamed) {
  for (int i = 0; i < 30; ++i) file(fmt::format("corpus/{:02}.txt", i), "some text");
  file("corpus/a.png", "\x89PNG\r\n");
  file("corpus/b.bin", std::string("a\0b", 3));
  file("corpus/c/latin1.txt", "caf\xe9 au lait");
  file("corpus/late.txt", std::string(3 << 20, 'x') + "\xc3");  // cut short at its very end
  namespace fs = std::filesystem;
  fs::create_directory_symlink(folder_ / "corpus", folder_ / "corpus/round");
  fs::create_symlink("itself", folder_ / "corpus/itself");
  fs::create_symlink("nowhere", folder_ / "corpus/gone");
  fs::create_symlink("00.txt", folder_ / "corpus/zero.txt");
  fs::create_hard_link(folder_ / "corpus/01.txt", folder_ / "corpus/one.txt");
  ASSERT_EQ(mkfifo((folder_ / "corpus/pipe").c_str(), 0600), 0);
  std::string output = run({.input = folder_ / "corpus"});
  EXPECT_THAT(output, AllOf(HasSubstr("10 files left out: "), HasSubstr("gone: a link that"),
                            HasSubstr("itself: a link that"), HasSubstr("one.txt: the same file"),
                            HasSubstr("01.txt"), HasSubstr("pipe: no regular file"),
                            HasSubstr("round: a link to a folder"), HasSubstr("and 5 more\n")));
  EXPECT_EQ(train_documents().size() + val_documents().size(), 30u);
  // Where they are the only ones, they are all named.
  for (const char* name : {"gone", "itself", "one.txt", "pipe", "round", "zero.txt"})
    fs::remove(folder_ / "corpus/" + name);
  EXPECT_THAT(
      run({.input = folder_ / "corpus"}),
      AllOf(HasSubstr("4 files left out: "), HasSubstr("a.png: not UTF-8 (byte 0x89 at offset 0"),
            HasSubstr("b.bin: not text (a NUL byte at offset 1)"),
            HasSubstr("latin1.txt: not UTF-8 (byte 0xe9 at offset 3"),
            HasSubstr("late.txt: not UTF-8 (byte 0xc3 at offset 3145728")));
  EXPECT_THAT(run({.input = folder_ / "corpus", .strict = true}),
              AllOf(HasSubstr("a.png: not UTF-8"), HasSubstr("--strict")));
}

TEST_F(TokenDataset, TheDatasetIsNoPartOfTheFolderThatItIsIn) {
  for (int i = 0; i < 20; ++i) file(fmt::format("set/{:02}.txt", i), "some text");
  run({.input = folder_ / "set"});
  std::string meta = read_file(folder_ / "set/meta.json");
  EXPECT_THAT(run({.input = folder_ / "set"}), testing::Not(HasSubstr("left out")));
  EXPECT_EQ(read_file(folder_ / "set/meta.json"), meta);
}

TEST_F(TokenDataset, ALineOfJsonIsADocument) {
  std::string lines = "\xef\xbb\xbf", crlf;
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {
    expected.push_back(fmt::format("the\n{} \u00e9", i));
    lines += fmt::format(R"({{"id": {}, "text": "the\n{} \u00e9"}})"
                         "\n",
                         i, i);
  }
  lines.pop_back();  // a last line without its end
  std::string path = file("in.jsonl", lines + "\r\n\n  \n");
  EXPECT_THAT(run({.input = path}), HasSubstr("45 documents for train, 5 for val\n"));
  auto both = train_documents();
  for (const std::string& document : val_documents()) both.push_back(document);
  EXPECT_EQ(both, expected);
  // As one of a folder's files, too.
  file("corpus/a.jsonl", lines);
  file("corpus/b.txt", "the text");
  EXPECT_THAT(run({.input = folder_ / "corpus"}), HasSubstr("documents for train, "));
  EXPECT_THAT(train_documents(), testing::Contains(expected[0]));
}

TEST_F(TokenDataset, AFewLinesOfJsonAreSplitToo) {
  for (int lines : {4, 5, 9, 11}) {
    std::string text;
    for (int i = 0; i < lines; ++i) text += "{\"text\": \"words and words\"}\n";
    std::string path = file("in.jsonl", text);
    run({.input = path, .val_fraction = 0.15});
    EXPECT_EQ(val_documents().size(), lines < 9 ? 1u : 2u) << lines;
  }
  file("in.jsonl", "{\"text\": \"a\"}\n");
  EXPECT_THAT(run({.input = folder_ / "in.jsonl"}), HasSubstr("cannot be split so"));
}

TEST_F(TokenDataset, LinesWithoutADocumentAreLeftOutAndNamed) {
  std::string lines;
  for (int i = 1; i <= 40; ++i)
    lines += i == 3    ? "{\"text\": 5}\n"
             : i == 7  ? "{\"content\": \"x\"}\n"
             : i == 8  ? "[\"text\"]\n"
             : i == 30 ? "{\"text\": \"cut sh\n"
             : i == 40 ? "{\"text\": \"\xff\"}\n"  // in val
                       : "{\"text\": \"the words of a document\"}\n";
  std::string path = file("in.jsonl", lines);
  for (int64_t threads : {1, 3})
    EXPECT_THAT(run({.input = path, .threads = threads}),
                AllOf(HasSubstr("5 lines left out: "), HasSubstr("in.jsonl:3: its \"text\" is no"),
                      HasSubstr("in.jsonl:7: has no \"text\""), HasSubstr("in.jsonl:8: not a JSON"),
                      HasSubstr("in.jsonl:30: "), HasSubstr("in.jsonl:40: ")));
  EXPECT_EQ(train_documents().size() + val_documents().size(), 35u);
  EXPECT_THAT(run({.input = path, .strict = true}),
              AllOf(HasSubstr("in.jsonl:3: "), HasSubstr("--strict")));
}

// Line numbers and documents do not depend on where chunks, of a megabyte, begin.
TEST_F(TokenDataset, ALongFileOfJsonLinesKeepsItsOrder) {
  std::string lines;
  size_t count = 0;
  for (; lines.size() < 3000000; ++count)
    lines += fmt::format("{{\"text\": \"{} {}\"}}\n", count, std::string(count % 977, 'x'));
  lines += "no JSON\n";
  EXPECT_THAT(run({.input = file("in.jsonl", lines), .threads = 3}),
              HasSubstr(fmt::format("in.jsonl:{}: ", count + 1)));
  auto both = train_documents();
  for (const std::string& document : val_documents()) both.push_back(document);
  ASSERT_EQ(both.size(), count);
  for (size_t i = 0; i < count; ++i)
    ASSERT_EQ(both[i], fmt::format("{} {}", i, std::string(i % 977, 'x')));
}

TEST_F(TokenDataset, SpecialTokensOnlyWhereTheyAreAllowed) {
  std::string path = file("in.txt", "the<|endoftext|>the<|endoftext|>the the the");
  run({.input = path});
  EXPECT_EQ(std::ranges::count(all(dataset().train), 258), 0);
  run({.input = path, .allow_special = true});
  EXPECT_EQ(std::ranges::count(all(dataset().train), 258), 2);
}

TEST_F(TokenDataset, FailuresNameTheirPlaceAndKeepTheOldDataset) {
  run({.input = file("in.txt", "the old text")});
  std::string text = random_text(3000000, 9);
  text[2500000] = '\xff';
  text[2600000] = '\xff';
  auto expect_old = [&] {
    EXPECT_EQ(dataset().meta.tokenizer->decode(all(dataset().train)), "the old te");
    std::filesystem::directory_iterator files(folder_ / "set");
    EXPECT_EQ(std::distance(files, {}), 3);
  };
  for (int64_t threads : {1, 4})
    EXPECT_THAT(run({.input = file("bad.txt", text), .threads = threads}),
                AllOf(HasSubstr("bad.txt is not UTF-8"), HasSubstr("offset 2500000")));
  expect_old();
  EXPECT_THAT(run({.input = file("short.txt", "x")}), HasSubstr("cannot be split"));
  file("one/x.txt", "text");
  EXPECT_THAT(run({.input = folder_ / "one"}), HasSubstr("cannot be split so"));
  file("bare/.x", "text");
  EXPECT_THAT(run({.input = folder_ / "bare"}), HasSubstr("no UTF-8 text"));
  EXPECT_THAT(run({.input = folder_ / "one", .tokenizer = "char"}), HasSubstr("--tokenizer=gpt2"));
  EXPECT_THAT(run({.input = folder_ / "in.txt", .tokenizer = folder_ / "none"}),
              AllOf(HasSubstr("none"), HasSubstr("folio download gpt2")));
  EXPECT_THAT(run({.input = folder_ / "in.txt", .val_fraction = 1}), HasSubstr("val_fraction"));
  {
    std::string path = file("long.txt", random_text(400000, 10));
    FileSizeLimit limit(300000);
    EXPECT_THAT(run({.input = path}), HasSubstr("File too large"));
  }
  expect_old();
}

// As of Qwen3 and Llama 3: more ids than 16 bits have.
TEST_F(TokenDataset, ALargeVocabularyHasIdsOf32Bits) {
  BpeVocabularyBuilder builder;
  add_bytes(builder);
  BpeVocabulary bytes = builder.finish("a test");
  std::string added = "{\"<256>\": 256";
  for (int id = 257; id <= 70000; ++id) added += fmt::format(", \"<{}>\": {}", id, id);
  file("large/vocab.json", vocab_json(bytes));
  file("large/merges.txt", merges_txt(bytes));
  file("large/added_tokens.json", added + "}");
  std::string text;
  Ids expected;
  for (int i = 0; i < 20000; ++i) {
    const int id = i % 3 ? 256 + (i * 7919) % 69745 : i % 90;  // below 90: '!' and what follows
    text += id < 256 ? std::string(1, char('!' + id)) : fmt::format("<{}>", id);
    expected.push_back(id);
  }
  run({.input = file("in.txt", text), .tokenizer = folder_ / "large"});
  const Dataset data = dataset();
  EXPECT_EQ(data.meta.tokenizer->vocab_size(), 70001);
  EXPECT_EQ(std::filesystem::file_size(folder_ / "set/train.bin"),
            uintmax_t(4 * data.train.size()));
  // The splits meet within a token, whose characters are others then.
  const Ids train = all(data.train), val = all(data.val);
  EXPECT_TRUE(std::equal(train.begin(), train.end() - 8, expected.begin()));
  EXPECT_TRUE(std::equal(val.rbegin(), val.rend() - 8, expected.rbegin()));
  // Ids alone, as another program wrote them, are described with the same width.
  std::filesystem::remove(folder_ / "set/meta.json");
  run({.tokenizer = folder_ / "large"});
  EXPECT_EQ(all(dataset().val), val);
}

}  // namespace
}  // namespace folio
