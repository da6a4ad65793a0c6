// A prepared dataset's files belong together, and nanoGPT's open too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/corpus/describe_dataset.h"
#include "data/corpus/prepare.h"
#include "data/dataset/meta.h"
#include "data/files/files.h"
#include "data/files/sha256.h"
#include "data/tokenizer/bpe_files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"
#include "tests/data/tokenizer/gpt2_files.h"
#include "tests/data/torch_file/torch_file_writer.h"
#include "tests/message.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const char* const files[] = {"meta.json", "train.bin", "val.bin"};

class DatasetFiles : public testing::Test {
 protected:
  void prepare_text(const std::string& name, const std::string& text) {
    write_file(folder_ / "in.txt", text);
    prepare({.name = name, .input = folder_ / "in.txt", .data_dir = folder_.path()});
  }
  std::string open_error(const std::string& name) {
    return error_of([&] { open_dataset(folder_ / name); });
  }
  std::string digest(const std::string& name) {
    return dataset_digest(open_dataset(folder_ / name));
  }
  void remove_line(const std::string& path, const std::string& key) {
    std::string text = read_file(path);
    size_t at = text.find("  \"" + key);
    ASSERT_NE(at, text.npos) << key;
    write_file(path, text.erase(at, text.find('\n', at) + 1 - at));
  }

  TemporaryFolder folder_;
};

TEST_F(DatasetFiles, AMissingOneNamesTheNearest) {
  prepare_text("sonnets", "some text");
  fs::create_directory(folder_ / "sonnet");  // a folder, but no dataset
  EXPECT_EQ(open_error("sonets"),
            "there is no dataset in " + (folder_ / "sonets") + "; did you mean sonnets?");
  EXPECT_THAT(open_error("letters"), HasSubstr("make one with `folio prepare"));
  EXPECT_THAT(open_error("none/letters"), HasSubstr("make one with `folio prepare"));
}

// What a prepare that is killed between two renames leaves, and what hands may mix: texts of the
// same length and the same characters, so that sizes and vocabulary tell nothing.
TEST_F(DatasetFiles, OfTwoRunsAreRefused) {
  prepare_text("a", "abcabcabcaabcabcabca");
  prepare_text("b", "bacbacbacbbacbacbacb");
  fs::create_directory(folder_ / "mixed");
  for (int choice = 0; choice < 8; ++choice) {
    for (int i = 0; i < 3; ++i)
      fs::copy_file(folder_ / (choice >> i & 1 ? "a/" : "b/") + files[i],
                    folder_ / "mixed/" + files[i], fs::copy_options::overwrite_existing);
    if (choice == 0 || choice == 7)
      EXPECT_EQ(open_error("mixed"), "");
    else
      EXPECT_THAT(open_error("mixed"), AllOf(HasSubstr(".bin"), HasSubstr("prepare the dataset")));
  }
}

TEST_F(DatasetFiles, AChangedByteIsFound) {
  prepare_text("a", std::string(5000, 'x') + std::string(5000, 'y'));
  std::string path = folder_ / "a/train.bin", bytes = read_file(path);
  bytes[bytes.size() / 2] ^= 1;
  write_file(path, bytes);
  EXPECT_THAT(open_error("a"), AllOf(HasSubstr("train.bin"), HasSubstr("\"train_fingerprint\"")));
  remove_line(folder_ / "a/meta.json", "train_fingerprint");
  EXPECT_EQ(open_error("a"), "");
}

TEST_F(DatasetFiles, MetaHasWhatSha256sumGives) {
  prepare_text("a", std::string(100000, 'x') + std::string(100000, 'y'));
  Meta meta = open_dataset(folder_ / "a").meta;
  EXPECT_EQ(meta.train_sha256, hex(sha256(read_file(folder_ / "a/train.bin"))));
  EXPECT_EQ(meta.val_sha256, hex(sha256(read_file(folder_ / "a/val.bin"))));
}

TEST_F(DatasetFiles, ADatasetOfAnEarlierVersionOpensAndHasTheSameDigest) {
  prepare_text("a", "the same text");
  std::string before = digest("a");
  for (const char* key : {"train_sha256", "val_sha256", "train_fingerprint", "val_fingerprint"})
    remove_line(folder_ / "a/meta.json", key);
  EXPECT_EQ(digest("a"), before);
}

// Nor is a dataset of an earlier version taken for the other half of one that could not be
// finished.
TEST_F(DatasetFiles, ThatReplaceAnEarlierVersionsInPartAreRefused) {
  for (const char* last : {"train.bin", "val.bin", "meta.json"}) {
    prepare_text("a", "abcabcabcaabcabcabca");
    for (const char* key : {"train_sha256", "val_sha256", "train_fingerprint", "val_fingerprint"})
      remove_line(folder_ / "a/meta.json", key);
    std::string path = folder_ / "a/" + last, old = read_file(path);
    fs::remove(path);
    fs::create_directories(path + "/in the way");
    std::string error = error_of([&] { prepare_text("a", "bacbacbacbbacbacbacb"); });
    EXPECT_THAT(error, HasSubstr("cannot replace it"));
    fs::remove_all(path);
    write_file(path, old);
    bool replaced = last != std::string("meta.json");  // meta.json is the first
    EXPECT_EQ(open_error("a") != "", replaced) << last;
  }
}

TEST_F(DatasetFiles, DigestsAreEqualWhereContentsAre) {
  prepare_text("a", "the same text");
  prepare_text("b", "the same text");
  EXPECT_EQ(digest("a"), digest("b"));
  EXPECT_EQ(digest("a").size(), 32u);
  EXPECT_EQ(digest("a").find_first_not_of("0123456789abcdef"), std::string::npos);
  prepare_text("b", "the same tetx");
  EXPECT_NE(digest("a"), digest("b"));
  // The same ids, split elsewhere.
  fs::create_directory(folder_ / "c");
  std::string both = read_file(folder_ / "a/train.bin") + read_file(folder_ / "a/val.bin");
  write_file(folder_ / "c/train.bin", both.substr(0, 4));
  write_file(folder_ / "c/val.bin", both.substr(4));
  describe_dataset(folder_ / "c", open_dataset(folder_ / "a").meta.tokenizer,
                   [](const std::string&) {});
  EXPECT_NE(digest("a"), digest("c"));
}

TEST_F(DatasetFiles, DamagedDigestsAreNamed) {
  prepare_text("a", "the same text");
  std::string path = folder_ / "a/meta.json", meta = read_file(path);
  for (const char* key : {"train_sha256", "val_sha256", "train_fingerprint", "val_fingerprint"}) {
    std::string changed = meta;
    changed.replace(changed.find(key) + std::string(key).size() + 4, 1, "?");
    write_file(path, changed);
    EXPECT_THAT(open_error("a"), AllOf(HasSubstr(key), HasSubstr("SHA-256")));
  }
}

TEST_F(DatasetFiles, AnotherDtypeIsNamedAndNoneIsThatOfAnEarlierVersion) {
  prepare_text("set", "some text");
  const std::string path = folder_ / "set/meta.json", meta = read_file(path);
  const std::string dtype = "\"dtype\": \"uint16\"";
  const size_t at = meta.find(dtype);
  ASSERT_NE(at, meta.npos);
  for (const char* other : {"\"uint32\"", "2", "null"}) {
    write_file(path,
               std::string(meta).replace(at, dtype.size(), std::string("\"dtype\": ") + other));
    EXPECT_THAT(open_error("set"), AllOf(HasSubstr("meta.json: \"dtype\" is " + std::string(other)),
                                         HasSubstr("uint16")));
  }
  write_file(path, std::string(meta).replace(at, dtype.size() + 2, ""));
  EXPECT_EQ(open_error("set"), "");
}

TEST_F(DatasetFiles, AnIdBeyondTheVocabularyIsFoundWhenOpened) {
  prepare_text("a", "abcabcabcaabcabcabca");
  for (const char* key : {"train_fingerprint", "val_fingerprint"})
    remove_line(folder_ / "a/meta.json", key);
  for (auto [split, token] : {std::pair{"train.bin", 17}, {"val.bin", 1}}) {
    std::string path = folder_ / "a/" + split, bytes = read_file(path), changed = bytes;
    changed[size_t(2 * token)] = 3;
    write_file(path, changed);
    EXPECT_THAT(open_error("a"), AllOf(HasSubstr(fmt::format("{}: token {} has id 3", path, token)),
                                       HasSubstr("0 to 2")));
    write_file(path, bytes);
  }
  EXPECT_EQ(open_error("a"), "");
}

class NanogptDataset : public DatasetFiles {
 protected:
  NanogptDataset() {
    fs::create_directory(folder_ / "nano");
    write_file(folder_ / "nano/train.bin", std::string("\1\0\0\0\2\0", 6));
    write_file(folder_ / "nano/val.bin", std::string("\2\0", 2));
  }
  // Bytes alone, and the end of a text.
  std::string tokenizer() {
    BpeVocabularyBuilder builder;
    add_bytes(builder);
    builder.add_special("<|endoftext|>", 256, "a test");
    BpeVocabulary vocabulary = builder.finish("a test");
    fs::create_directory(folder_ / "bytes");
    write_file(folder_ / "bytes/vocab.json", vocab_json(vocabulary));
    write_file(folder_ / "bytes/merges.txt", merges_txt(vocabulary));
    return folder_ / "bytes";
  }
  std::string describe(const std::string& tokenizer) {
    std::string told;
    std::string error = error_of([&] {
      prepare({.name = "nano",
               .data_dir = folder_.path(),
               .tokenizer = tokenizer,
               .tell = [&](const std::string& lines) { told += lines; }});
    });
    return told + error;
  }
};

TEST_F(NanogptDataset, OfCharactersOpensByItsMetaPkl) {
  using namespace torch_writer;
  std::string itos =
      "}(" + integer(0) + text("\n") + integer(1) + text("a") + integer(2) + text("b") + "u";
  std::string stoi = dict({{"\n", integer(0)}, {"a", integer(1)}, {"b", integer(2)}});
  write_file(folder_ / "nano/meta.pkl",
             pickle(dict({{"vocab_size", integer(3)}, {"itos", itos}, {"stoi", stoi}})));
  Dataset data = open_dataset(folder_ / "nano");
  EXPECT_EQ(*data.meta.tokenizer, CharTokenizer(U"\nab"));
  EXPECT_EQ(data.meta.train_tokens, 3);
  EXPECT_EQ(data.meta.val_tokens, 1);
  EXPECT_EQ(data.train[2], 2);
  EXPECT_EQ(dataset_digest(data).size(), 32u);
  write_file(folder_ / "nano/train.bin", std::string("\1\0\3\0", 4));
  EXPECT_THAT(open_error("nano"), HasSubstr("token 1 has id 3"));
}

TEST_F(NanogptDataset, WithoutADescriptionIsGivenOneByPrepare) {
  EXPECT_THAT(open_error("nano"), AllOf(HasSubstr("meta.pkl"), HasSubstr("--tokenizer=gpt2"),
                                        HasSubstr("--name=nano")));
  std::string train = read_file(folder_ / "nano/train.bin");
  EXPECT_THAT(describe(tokenizer()), AllOf(HasSubstr("train has 3 tokens\nval has 1 tokens\n"),
                                           HasSubstr("wrote meta.json to " + folder_ / "nano")));
  EXPECT_EQ(read_file(folder_ / "nano/train.bin"), train);
  Dataset data = open_dataset(folder_ / "nano");
  EXPECT_EQ(data.meta.tokenizer->vocab_size(), 257);
  EXPECT_EQ(data.meta.train_sha256, hex(sha256(train)));
  EXPECT_THAT(describe(folder_ / "bytes"), HasSubstr("--input=FILE"));  // there is nothing to add
}

TEST_F(NanogptDataset, OfAnotherTokenizerIsNotDescribed) {
  write_file(folder_ / "nano/val.bin", std::string("\2\0\1\1", 4));
  EXPECT_THAT(describe(tokenizer()),
              AllOf(HasSubstr("val.bin: token 1 has id 257"), HasSubstr("0 to 256")));
  write_file(folder_ / "nano/val.bin", "");
  EXPECT_THAT(describe(folder_ / "bytes"), HasSubstr("val.bin: is empty"));
  EXPECT_FALSE(fs::exists(folder_ / "nano/meta.json"));
}

}  // namespace
}  // namespace folio
