// Where a model without a tokenizer gets one from, and which are refused.
#include "checkpoint/model_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files/files.h"
#include "data/hugging_face/tokenizer_files.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

CharTokenizer characters(int64_t count) {
  std::u32string all;
  for (char32_t c = U'!'; std::ssize(all) < count; ++c) all += c;
  return CharTokenizer(all);
}

class ModelTokenizer : public testing::Test {
 protected:
  static OpenedModel model(int64_t rows) {
    GptConfig config{.block_size = 4, .vocab_size = rows, .n_layer = 1, .n_head = 1, .n_embd = 4};
    return {.model = std::make_unique<Gpt>(config, test_device(), 1),
            .weights = {},
            .tokenizer = nullptr,
            .source = "ckpt.pt",
            .attributes = {}};
  }
  // A model whose run names the dataset and its folder, as nanoGPT's and folio's files do.
  OpenedModel trained_on(const std::string& dataset, int64_t rows) const {
    OpenedModel opened = model(rows);
    opened.attributes["option/dataset"] = dataset;
    opened.attributes["option/data_dir"] = folder_.path();
    return opened;
  }
  // meta.json alone: a tokenizer needs no tokens of text.
  fs::path dataset(const std::string& name, std::shared_ptr<const Tokenizer> tokenizer) const {
    fs::path folder = fs::path(folder_.path()) / name;
    fs::create_directories(folder);
    write_file((folder / "meta.json").string(), to_json(Meta{tokenizer, 1, 1, "a text"}));
    return folder;
  }
  fs::path dataset(const std::string& name, int64_t tokens) const {
    return dataset(name, std::make_shared<CharTokenizer>(characters(tokens)));
  }
  std::string files(const std::string& name, int64_t tokens) const {
    fs::path folder = fs::path(folder_.path()) / name;
    fs::create_directories(folder);
    save_tokenizer_files(folder, characters(tokens), 4);
    return folder;
  }

  TemporaryFolder folder_;
};

TEST_F(ModelTokenizer, IsTheNamedOne) {
  std::string meta = dataset("set", 9), hugging_face = files("files", 9);
  for (TokenizerPlace place :
       std::vector<TokenizerPlace>{{.tokenizer = meta},
                                   {.tokenizer = meta + "/meta.json"},
                                   {.tokenizer = hugging_face},
                                   {.tokenizer = hugging_face + "/tokenizer.json"},
                                   {.dataset = "set", .data_dir = folder_.path()}}) {
    for (int64_t rows : {9, 12}) {
      OpenedModel opened = model(rows);
      EXPECT_EQ(find_tokenizer_of(opened, place), "");
      ASSERT_NE(opened.tokenizer, nullptr) << place.tokenizer;
      EXPECT_EQ(*opened.tokenizer, characters(9)) << place.tokenizer;
    }
    OpenedModel small = model(8);
    EXPECT_THAT(message_of([&] { find_tokenizer_of(small, place); }),
                HasSubstr("ckpt.pt: the tokenizer has 9 tokens, the model 8"));
  }
  OpenedModel opened = model(9);
  EXPECT_THAT(message_of([&] { find_tokenizer_of(opened, {.tokenizer = meta, .dataset = "set"}); }),
              HasSubstr("give one of them"));
  EXPECT_THAT(message_of([&] { find_tokenizer_of(opened, {.tokenizer = "/no/such"}); }),
              HasSubstr("/no/such"));
}

// As many rows as tokens, or those of a BPE padded as nanoGPT pads them; else it is another text of
// that name.
TEST_F(ModelTokenizer, OrThatOfTheDatasetWhichTheRunNames) {
  dataset("text", 60);
  BpeVocabulary bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.tokens.push_back(std::string(1, char(byte)));
  dataset("bpe", std::make_shared<BpeTokenizer>(bytes, "bytes"));
  for (auto [name, rows] :
       {std::pair<std::string, int64_t>{"text", 60}, {"bpe", 256}, {"bpe", 512}}) {
    OpenedModel opened = trained_on(name, rows);
    EXPECT_EQ(find_tokenizer_of(opened, {}),
              "it has no tokenizer; that of its dataset, " + (folder_ / name) + ", is used");
    EXPECT_EQ(opened.tokenizer->vocab_size(), name == "text" ? 60 : 256);
  }
  for (int64_t rows : {4, 59, 61, 64, 128}) {
    OpenedModel opened = trained_on("text", rows);
    EXPECT_THAT(message_of([&] { find_tokenizer_of(opened, {}); }),
                HasSubstr(fmt::format("has 60 tokens, the model {}", rows)));
  }
  OpenedModel opened = trained_on("other", 60);
  EXPECT_THAT(message_of([&] { find_tokenizer_of(opened, {}); }),
              HasSubstr("its dataset is not in " + folder_.path() + "/other"));
  opened = model(60);
  EXPECT_THAT(message_of([&] { find_tokenizer_of(opened, {}); }),
              testing::AllOf(HasSubstr("it names no dataset"), HasSubstr("--tokenizer=gpt2")));
}

TEST_F(ModelTokenizer, ItsOwnIsKeptAndNoOtherTaken) {
  std::string same = files("same", 9), other = files("other", 8);
  OpenedModel opened = model(9);
  auto own = std::make_shared<CharTokenizer>(characters(9));
  opened.tokenizer = own;
  EXPECT_EQ(find_tokenizer_of(opened, {}), "");
  EXPECT_EQ(find_tokenizer_of(opened, {.tokenizer = same}), "");
  EXPECT_EQ(opened.tokenizer, own);
  EXPECT_THAT(message_of([&] { find_tokenizer_of(opened, {.tokenizer = other}); }),
              HasSubstr("has a tokenizer of its own, of 9 tokens"));
  OpenedModel small = model(8);
  small.tokenizer = own;
  EXPECT_THAT(message_of([&] { find_tokenizer_of(small, {}); }),
              HasSubstr("the tokenizer has 9 tokens, the model 8"));
}

}  // namespace
}  // namespace folio
