// What an init_from may name, and whether its vocabulary is the dataset's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/model_tokenizer.h"
#include "checkpoint/open_model.h"
#include "checkpoint/quantized_file.h"
#include "data/hugging_face/tokenizer_files.h"
#include "tests/checkpoint/hugging_face_fixture.h"
#include "tests/device.h"
#include "tests/paths.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

// The model opens: only text needs the tokenizer, and it may come from elsewhere.
TEST_F(HuggingFace, ATokenizerThatCannotBeReadIsAskedForWhereTextIsNeeded) {
  TemporaryFolder other;
  save_tokenizer_files(other.path(), characters, T);
  const std::string unknown = R"({"model": {"type": "Unigram", "vocab": []}})";
  write_file(folder / "tokenizer.json", unknown);
  OpenedModel opened = open_model(path, "", test_device());
  EXPECT_EQ(logits(*opened.model), logits(*model));
  EXPECT_EQ(opened.tokenizer, nullptr);
  EXPECT_THAT(opened.tokenizer_error, HasSubstr("tokenizer.json: "));
  EXPECT_THAT(without_tokenizer(opened), HasSubstr("is left out: " + opened.tokenizer_error));
  EXPECT_THAT(error_of([&] { find_tokenizer_of(opened, {}); }),
              AllOf(HasSubstr(opened.tokenizer_error), HasSubstr("with --tokenizer")));
  EXPECT_EQ(find_tokenizer_of(opened, {.tokenizer = other.path()}), "");
  EXPECT_EQ(*opened.tokenizer, characters);
}

TEST_F(HuggingFace, ATokenizerWithMoreTokensThanTheModelIsRefused) {
  TemporaryFolder out;
  CharTokenizer more(U"abcdef");
  save_tokenizer_files(path, more, T);
  const char* words = "the tokenizer has 6 tokens, the model 5";
  EXPECT_THAT(error_of([&] { open_model(path, "", test_device()); }), HasSubstr(words));
  CheckpointFile file;
  put_parameters(file, *model);
  put_tokenizer(file, more);
  save(out / "ckpt.h5", file);
  EXPECT_THAT(error_of([&] { open_model(out.path(), "", test_device()); }), HasSubstr(words));
  file = quantize(*model, WeightFormat::int8);
  put_tokenizer(file, more);
  save(out / "q.h5", file);
  EXPECT_THAT(error_of([&] { open_model(out / "q.h5", "", test_device(), Purpose::inference); }),
              HasSubstr(words));
}

TEST_F(HuggingFace, OpenModelKnowsEachKindByItsPlace) {
  TemporaryFolder out;
  fs::path checkpoint = save_checkpoint(out, *model);
  for (const std::string& init_from :
       {path.string(), folder / "model.safetensors", checkpoint.string(), out.path()}) {
    OpenedModel opened = open_model(init_from, "", test_device());
    EXPECT_EQ(logits(*opened.model), logits(*model)) << init_from;
    EXPECT_TRUE(opened.tokenizer && *opened.tokenizer == characters) << init_from;
    EXPECT_THAT(opened.source, testing::StartsWith(init_from));
  }
  EXPECT_EQ(open_model("resume", out.path(), test_device()).source, checkpoint.string());
  OpenedModel nanogpt = open_model(source_path("tests/reference/nanogpt.pt"), "", test_device());
  EXPECT_EQ(nanogpt.tokenizer, nullptr);
  EXPECT_EQ(std::get<int64_t>(nanogpt.attributes.at("iter_num")), 30);

  auto error = [](const std::string& init_from) {
    return error_of([&] { open_model(init_from, "", test_device()); });
  };
  EXPECT_THAT(error(folder / "nowhere"), HasSubstr("no such file or folder"));
  fs::create_directory(folder / "empty");
  EXPECT_THAT(error(folder / "empty"), HasSubstr("holds no model"));
  write_file(folder / "notes.txt", "text");
  EXPECT_THAT(error(folder / "notes.txt"), HasSubstr("not a model that folio can open"));
}

TEST_F(HuggingFace, CheckVocabularyHoldsADatasetToTheModel) {
  auto error = [&](std::u32string dataset, bool with_tokenizer) {
    OpenedModel opened{
        .model = a_model(), .weights = {}, .tokenizer = nullptr, .source = "m", .attributes = {}};
    if (with_tokenizer) opened.tokenizer = std::make_shared<CharTokenizer>(characters);
    Meta meta{std::make_shared<CharTokenizer>(dataset), 1, 1, "a text"};
    return error_of([&] { check_vocabulary(opened, meta); });
  };
  EXPECT_EQ(error(U"abcde", true), "");
  EXPECT_EQ(error(U"vwxyz", false), "");
  EXPECT_THAT(error(U"xyz", false), AllOf(HasSubstr("of 5 tokens"), HasSubstr("of 3")));
  EXPECT_THAT(error(U"abcdf", true), HasSubstr("m: the model has another vocabulary"));
  EXPECT_THAT(error(U"abcdef", false), AllOf(HasSubstr("of 5 tokens"), HasSubstr("of 6")));
}

}  // namespace
}  // namespace folio
