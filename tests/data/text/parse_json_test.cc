// Texts that nest without end, through every reader of JSON that others wrote: a value so deep
// overflows the stack of whatever copies or prints it.
#include "data/text/parse_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/dataset/meta.h"
#include "data/files/files.h"
#include "data/hugging_face/gpt2_config.h"
#include "data/hugging_face/tokenizer_files.h"
#include "data/safetensors/safetensors.h"
#include "data/tokenizer/bpe_files.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, NestsAHundredDeepAndNoMore) {
  using Json = nlohmann::json;
  EXPECT_EQ(parse_json<Json>(nested(100), "x").dump(), nested(100));
  EXPECT_THAT(error_of([] { parse_json<Json>(nested(101), "x"); }),
              HasSubstr("x: not JSON that folio reads: it nests more than 100 deep at byte 100"));
  std::string wide = "[[]";
  for (int i = 0; i < 200; ++i) wide += ",[]";
  EXPECT_EQ(parse_json<Json>(wide + "]", "x").size(), 201u);
  std::string text = R"(["\"[[\\", ")" + std::string(200, '[') + "\"]";
  EXPECT_EQ(parse_json<Json>(text, "x").size(), 2u);
}

TEST(ParseJson, DeepTextsAreRefusedByEveryReader) {
  TemporaryFolder folder;
  std::string deep = nested(300'000);
  auto write = [&](const char* name, const std::string& text) {
    write_file(folder / name, text);
    return folder / name;
  };
  auto expect_refused = [](auto&& read) { EXPECT_THAT(error_of(read), HasSubstr("100 deep")); };
  std::string config = write("config.json", R"({"model_type": )" + deep + "}");
  expect_refused([&] { load_gpt2_config(config); });
  std::string index = write("model.safetensors.index.json", R"({"weight_map": )" + deep + "}");
  expect_refused([&] { Safetensors file(index); });
  std::string meta = write("meta.json", R"({"tokenizer": )" + deep + "}");
  expect_refused([&] { load_meta(meta); });
  expect_refused([&] { tokenizer_from_text(R"({"type": )" + deep + "}", "a checkpoint"); });
  write("merges.txt", "");
  std::string vocab = write("vocab.json", deep);
  expect_refused([&] { load_bpe(vocab); });
  write("tokenizer.json", R"({"model": {"type": "WordLevel", "vocab": )" + deep + "}}");
  expect_refused([&] { load_tokenizer_files(folder.path()); });
}

}  // namespace
}  // namespace folio
