// `folio export`.
#include "commands/export_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/open_model.h"
#include "tests/checkpoint/hugging_face_fixture.h"
#include "tests/command.h"
#include "tests/device.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ExportCommand : public HuggingFace {};

TEST_F(ExportCommand, WritesACheckpointsModelAndTokenizer) {
  TemporaryFolder out, to;
  auto bare = a_model(false, gelu_erf_op);
  save_checkpoint(out, *bare);
  std::string said = output_of(export_command, {"--out_dir=" + out.path(), "--to=" + (to / "x")});
  EXPECT_THAT(said, AllOf(HasSubstr(to / "x"), HasSubstr("and the tokenizer"),
                          HasSubstr("written as zeros"), testing::Not(HasSubstr("rows for"))));
  OpenedModel opened = open_model(to / "x", "", test_device());
  EXPECT_EQ(logits(*opened.model), logits(*bare));
  ASSERT_NE(opened.tokenizer, nullptr);
  EXPECT_TRUE(*opened.tokenizer == characters);
  EXPECT_THAT(output_of(export_command, {"--out_dir=" + out.path()}), HasSubstr("--to=DIR"));
}

TEST_F(ExportCommand, SaysHowManyRowsHaveNoToken) {
  TemporaryFolder out, to;
  CheckpointFile file;
  put_parameters(file, *model);
  put_tokenizer(file, CharTokenizer(U"abc"));
  save(best_checkpoint(out.path()), file);
  EXPECT_THAT(output_of(export_command, {"--out_dir=" + out.path(), "--to=" + (to / "x")}),
              HasSubstr("the model has 5 rows for 3 tokens"));
  EXPECT_THAT(output_of(export_command,
                        {"--out_dir=" + out.path(), "--to=" + (to / "x"), "--trim_vocab=true"}),
              HasSubstr("the last 2 are left out"));
  EXPECT_EQ(open_model(to / "x", "", test_device()).model->config().vocab_size, 3);
}

TEST_F(ExportCommand, SaysWhatTransformersCallsTheModel) {
  TemporaryFolder out, to;
  GptConfig config{.block_size = T, .vocab_size = V, .n_layer = 1, .n_head = 2, .n_embd = C};
  config.bias = false, config.activation = Activation::swiglu();
  config.position = "rotary", config.norm = "rms";
  auto said = [&] {
    save_checkpoint(out, *std::make_unique<Gpt>(config, test_device(), 1));
    return output_of(export_command, {"--out_dir=" + out.path(), "--to=" + (to / "x")});
  };
  EXPECT_THAT(said(), AllOf(HasSubstr("to transformers it is a LlamaForCausalLM\n"),
                            testing::Not(HasSubstr("zeros"))));
  config.qk_norm = "rms_learned";
  EXPECT_THAT(said(), HasSubstr("to transformers it is a Qwen3ForCausalLM\n"));
  config.logit_softcap = 20;
  EXPECT_THAT(said(), AllOf(HasSubstr("the model has logit_softcap = 20; a Qwen3 of"),
                            HasSubstr("Exported are GPT-2s"), testing::Not(HasSubstr("wrote"))));
}

}  // namespace
}  // namespace folio
