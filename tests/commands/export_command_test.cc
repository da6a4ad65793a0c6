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

}  // namespace
}  // namespace folio
