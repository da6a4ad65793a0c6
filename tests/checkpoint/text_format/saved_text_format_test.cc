#include "checkpoint/saved_text_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/open_model.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class SavedTextFormat : public testing::Test {
 protected:
  OpenedModel opened(const CheckpointFile& file) const {
    save(folder_ / "a.h5", file);
    return open_model(folder_ / "a.h5", "", cpu);
  }
  std::string message(const std::string& key, const std::string& text) const {
    CheckpointFile file = tiny_checkpoint();
    put_text_format(file, format_);
    file.attributes[key] = text;
    return message_of([&] { opened(file); });
  }

  const TextFormat format_{.ends = {{3, 0}, true},
                           .chat = {.templates = R"([{"name":"default","template":"{{ 'é' }}"}])",
                                    .tokens = {{"bos_token", "<s>"}, {"eos_token", std::nullopt}}}};
  TemporaryFolder folder_;
};

TEST_F(SavedTextFormat, WhatIsSavedIsOpened) {
  CheckpointFile file = tiny_checkpoint();
  put_text_format(file, format_);
  const TextFormat back = opened(file).format;
  EXPECT_EQ(back.ends, format_.ends);
  EXPECT_EQ(back.chat.templates, format_.chat.templates);
  EXPECT_EQ(back.chat.tokens, format_.chat.tokens);
  EXPECT_EQ(default_template(back.chat).source, "{{ 'é' }}");
  EXPECT_THAT(default_template(back.chat).where, HasSubstr("a.h5: \"chat_template\"[\"default\"]"));
}

// Also of every file from before there were any.
TEST_F(SavedTextFormat, AFileWithoutOneHasAnEmptyOne) {
  const TextFormat back = opened(tiny_checkpoint()).format;
  EXPECT_EQ(back.ends, EndTokens());
  EXPECT_EQ(back.chat.templates, "");
  EXPECT_THAT(message_of([&] { default_template(back.chat); }),
              AllOf(HasSubstr("a.h5: \"chat_template\""), HasSubstr("there is none")));
}

TEST_F(SavedTextFormat, WhatIsDamagedIsNamed) {
  EXPECT_THAT(message("end_tokens", "4"),
              HasSubstr("a.h5: \"end_tokens\" is 4, but the model's 4 tokens have the ids 0 to 3"));
  EXPECT_THAT(message("end_tokens", "[1"), HasSubstr("a.h5: \"end_tokens\": not JSON"));
  EXPECT_THAT(message("chat_template", "{"), HasSubstr("a.h5: \"chat_template\": not JSON"));
  for (const char* tokens : {"[1]", "{\"bos_token\": 1}", "[\"a\"]"})
    EXPECT_THAT(message("chat_tokens", tokens), HasSubstr("must be an object of texts")) << tokens;
}

}  // namespace
}  // namespace folio
