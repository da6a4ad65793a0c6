// Exports in Llama's and Qwen3's layouts: the files of exports.json, in which transformers computes
// what it says there (tests/reference/make_exports.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/hugging_face.h"
#include "data/files/files.h"
#include "data/safetensors/safetensors.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"
#include "tests/reference/exports.h"

namespace folio {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class LlamaExport : public testing::Test {
 protected:
  const json& named(const std::string& name) const {
    for (const json& one : cases)
      if (one.at("name") == name) return one;
    throw std::runtime_error("exports.json has no case " + name);
  }
  json written(const char* name) const { return json::parse(read_file(folder / name)); }

  const json cases = reference::export_cases();
  TemporaryFolder folder;
};

TEST_F(LlamaExport, EveryFileIsAsTransformersHasIt) {
  for (const json& one : cases) {
    SCOPED_TRACE(one.at("name"));
    auto model = reference::model_of(one);
    const std::string architecture = save_hugging_face(folder.path(), *model, nullptr);
    json config = written("config.json");
    EXPECT_EQ(config.at("folio_digest").get<std::string>().size(), 32u);
    config.erase("folio_digest");
    EXPECT_EQ(config, one.at("config"));
    EXPECT_EQ(architecture, one.at("config").at("architectures").at(0));

    const Safetensors file(folder / "model.safetensors");
    EXPECT_EQ(file.metadata("format"), "pt");
    std::vector<std::string> names;
    for (const auto& [parameter, parts] : one.at("weights").items()) {
      for (const json& spec : parts) {
        const std::string name = names.emplace_back(spec.at("name"));
        ASSERT_TRUE(file.has(name)) << name;
        EXPECT_EQ(file.shape(name), reference::shape_of(spec)) << name;
        EXPECT_EQ(to_vector<float>(file.tensor(name)), to_vector<float>(reference::values_of(spec)))
            << name;
      }
    }
    EXPECT_THAT(file.names(), testing::UnorderedElementsAreArray(names));
  }
}

// Rows that no token has go from the embedding and from a head of its own.
TEST_F(LlamaExport, RowsBeyondTheTokenizerAreLeftOutWhereAsked) {
  const json& one = named("llama_untied");
  auto model = reference::model_of(one);
  const CharTokenizer tokenizer(U"abc");
  save_hugging_face(folder.path(), *model, &tokenizer, true);
  EXPECT_EQ(written("config.json").at("vocab_size"), 3);
  EXPECT_EQ(written("tokenizer_config.json").at("model_max_length"), 256);
  const Safetensors file(folder / "model.safetensors");
  for (const auto& [ours, theirs] :
       {std::pair{"transformer.wte.weight", "model.embed_tokens.weight"},
        {"lm_head.weight", "lm_head.weight"}}) {
    auto rows = to_vector<float>(reference::values_of(one.at("weights").at(ours)[0]));
    rows.resize(3 * 32);
    EXPECT_EQ(to_vector<float>(file.tensor(theirs)), rows) << theirs;
  }
}

// What is refused leaves no folder behind.
TEST_F(LlamaExport, AModelOfNoLayoutIsRefusedBeforeAnythingIsWritten) {
  json one = named("qwen3");
  one["model"]["logit_softcap"] = 30.0;
  auto model = reference::model_of(one);
  EXPECT_THAT(message_of([&] { save_hugging_face(folder / "x", *model, nullptr); }),
              HasSubstr("the model has logit_softcap = 30; a Qwen3 of Hugging Face's has 0. "
                        "Exported are GPT-2s ("));
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
}

}  // namespace
}  // namespace folio
