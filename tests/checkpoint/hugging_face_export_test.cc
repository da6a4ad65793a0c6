// Exports in Hugging Face's layout: their bytes, and what they leave of what was there before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "checkpoint/open_model.h"
#include "core/process/stop.h"
#include "data/hugging_face/tokenizer_files.h"
#include "tests/checkpoint/hugging_face_fixture.h"
#include "tests/device.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

TEST_F(HuggingFace, ExportAfterImportIsTheSameBytes) {
  TemporaryFolder again;
  OpenedModel opened = open_model(path.string(), "", test_device());
  save_hugging_face(again.path(), *opened.model, opened.tokenizer.get());
  int files = 0;
  for (const auto& entry : fs::directory_iterator(path)) {
    std::string name = entry.path().filename();
    EXPECT_EQ(read_file(folder / name), read_file(again / name)) << name;
    ++files;
  }
  EXPECT_EQ(files, 5);
}

// transformers' Conv1D holds [in, out].
TEST_F(HuggingFace, Conv1dWeightsLieTransposed) {
  Safetensors file(folder / "model.safetensors");
  EXPECT_EQ(file.shape("transformer.h.0.attn.c_attn.weight"), (Shape{C, 3 * C}));
  EXPECT_EQ(file.shape("transformer.h.0.mlp.c_proj.weight"), (Shape{4 * C, C}));
  model->parameters([&](const std::string& name, Parameter& p) {
    if (name != "transformer.h.1.mlp.c_fc.weight") return;
    std::vector<float> ours = to_vector<float>(p.array()),
                       theirs = to_vector<float>(file.tensor(name));
    for (size_t in = 0; in < C; ++in)
      for (size_t out = 0; out < 4 * C; ++out)
        ASSERT_EQ(theirs[in * 4 * C + out], ours[out * C + in]);
  });
}

TEST_F(HuggingFace, AModelWithoutBiasesGetsZeros) {
  TemporaryFolder other;
  auto bare = a_model(false);
  save_hugging_face(other.path(), *bare, nullptr);
  auto loaded = load_hugging_face(other.path(), test_device());
  EXPECT_TRUE(loaded->config().bias);
  EXPECT_EQ(logits(*loaded), logits(*bare));
  EXPECT_EQ(Safetensors(other / "model.safetensors").names(),
            Safetensors(folder / "model.safetensors").names());
}

TEST_F(HuggingFace, FilesOfTwoExportsAreRefused) {
  TemporaryFolder other;
  CharTokenizer others(U"vwxyz");
  save_hugging_face(other.path(), *a_model(false), &others);
  for (const char* name : {"model.safetensors", "tokenizer_config.json"}) {
    std::string own = read_file(folder / name);
    write_file(folder / name, read_file(other / name));
    EXPECT_THAT(error(), AllOf(HasSubstr(name), HasSubstr("come from two exports"))) << name;
    write_file(folder / name, own);
    EXPECT_EQ(error(), "");
  }
  // What was written by others has no digest.
  rewrite([](Tensors&) {});
  EXPECT_EQ(error(), "");
}

// An export over an older one that cannot put all its files in place leaves no model.
TEST_F(HuggingFace, AnExportThatFailsHalfWayIsNoModel) {
  fs::remove(folder / "generation_config.json");
  fs::create_directories(folder / "generation_config.json/full");
  CharTokenizer others(U"vwxyz");
  EXPECT_THAT(error_of([&] { save_hugging_face(path, *a_model(false), &others); }),
              HasSubstr("generation_config.json: cannot replace it"));
  EXPECT_FALSE(is_hugging_face(path));
  EXPECT_THAT(error_of([&] { open_model(path, "", test_device()); }), HasSubstr("holds no model"));
}

// What the older export's tokenizer has and the new one has not; a user's own tokenizer stays.
TEST_F(HuggingFace, AnExportTakesTheOlderTokenizerAway) {
  write_file(folder / "added_tokens.json", "{}");
  save_hugging_face(path, *model, &characters);
  EXPECT_FALSE(fs::exists(folder / "added_tokens.json"));
  save_hugging_face(path, *model, nullptr);
  EXPECT_FALSE(fs::exists(folder / "tokenizer.json"));
  EXPECT_EQ(error(), "");
  save_tokenizer_files(path, characters, T);
  save_hugging_face(path, *model, nullptr);
  EXPECT_TRUE(*open_model(path, "", test_device()).tokenizer == characters);
}

TEST_F(HuggingFace, AStopLeavesWhatWasThere) {
  std::string before = read_file(folder / "model.safetensors");
  request_stop(SIGINT);
  EXPECT_THROW(save_hugging_face(path, *a_model(false), &characters), Interrupted);
  EXPECT_THROW(save_hugging_face(path / "new", *a_model(false), &characters), Interrupted);
  forget_stop();
  EXPECT_EQ(read_file(folder / "model.safetensors"), before);
  EXPECT_FALSE(fs::exists(path / "new"));
  EXPECT_EQ(error(), "");
}

TEST_F(HuggingFace, RowsBeyondTheTokenizerAreLeftOutWhereAsked) {
  CharTokenizer fewer(U"abc");
  TemporaryFolder whole, trimmed;
  save_hugging_face(whole.path(), *model, &fewer);
  save_hugging_face(trimmed.path(), *model, &fewer, true);
  EXPECT_EQ(open_model(whole.path(), "", test_device()).model->config().vocab_size, V);
  OpenedModel opened = open_model(trimmed.path(), "", test_device());
  EXPECT_EQ(opened.model->config().vocab_size, 3);
  auto first_row = [](Gpt& gpt, size_t count) {
    NoGrad no_grad;
    std::vector<float> row =
        to_vector<float>(gpt(to_array(std::vector<int32_t>{1, 0}, {1, 2})).array());
    row.resize(count);
    return row;
  };
  EXPECT_EQ(first_row(*opened.model, 3), first_row(*model, 3));
}

}  // namespace
}  // namespace folio
