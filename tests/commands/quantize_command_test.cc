// `folio quantize`.
#include "commands/quantize_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "checkpoint/model_file.h"
#include "checkpoint/open_model.h"
#include "checkpoint/quantized_file.h"
#include "commands/export_command.h"
#include "core/process/stop.h"
#include "core/text/numbers.h"
#include "data/files/files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/checkpoint/quantized_model.h"
#include "tests/command.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"

namespace folio {
namespace {

using testing::HasSubstr;

constexpr const GptConfig& config = quantized_config;
constexpr const auto& formats = quantized_formats;

std::vector<float> logits(Gpt& model) {
  NoGrad no_grad;
  return to_vector<float>(model(to_array(std::vector<int32_t>{1, 39, 7, 0, 7}, {1, 5})).array());
}

// A checkpoint of that model, with the options of a run, in out_dir.
void save_checkpoint(const TemporaryFolder& out_dir) {
  CheckpointFile file;
  Gpt model(config, test_device(), 1);
  put_parameters(file, model);
  std::u32string characters;
  for (char32_t c = U'a'; std::ssize(characters) < config.vocab_size; ++c) characters += c;
  put_tokenizer(file, CharTokenizer(characters));
  file.attributes["option/dataset"] = std::string("tiny");
  file.attributes["iter_num"] = int64_t{7};
  file.attributes["adamw/steps"] = int64_t{7};
  save(best_checkpoint(out_dir.path()), file);
}

// The parallel loops of packing end at once, and nothing is written.
TEST(QuantizeCommand, AStopLeavesNothing) {
  TemporaryFolder out;
  save_checkpoint(out);
  OpenedModel opened = open_model("resume", out.path(), test_device());
  request_stop(SIGINT);
  EXPECT_THROW(quantize(*opened.model, WeightFormat::int8), Interrupted);
  forget_stop();
}

TEST(QuantizeCommand, WritesWhatPackingAtLoadWouldGive) {
  TemporaryFolder out;
  save_checkpoint(out);
  std::vector<float> plain = logits(*open_model("resume", out.path(), test_device()).model);
  for (WeightFormat format : formats) {
    std::string to = out / fmt::format("quantized/{}.h5", format);
    std::string said = output_of(quantize_command, {"--out_dir=" + out.path(), "--to=" + to,
                                                    fmt::format("--weights={}", format)});
    EXPECT_THAT(said,
                HasSubstr(with_commas(int64_t(std::filesystem::file_size(to))) + " bytes for"));
    OpenedModel at_load = open_model("resume", out.path(), test_device(), Purpose::inference);
    EXPECT_EQ(at_load.weights, std::nullopt);
    pack(at_load, format);
    OpenedModel saved = open_model(to, "", test_device(), Purpose::inference);
    EXPECT_EQ(saved.weights, format);
    EXPECT_EQ(logits(*saved.model), logits(*at_load.model)) << name_of(format);
    EXPECT_NE(logits(*saved.model), plain) << name_of(format);
    EXPECT_TRUE(*saved.tokenizer == *at_load.tokenizer);
    EXPECT_EQ(std::get<std::string>(saved.attributes.at("option/dataset")), "tiny");
    EXPECT_EQ(std::get<int64_t>(saved.attributes.at("iter_num")), 7);
    EXPECT_FALSE(saved.attributes.contains("adamw/steps"));
  }
}

TEST(QuantizeCommand, SaysWhatCannotBeDone) {
  TemporaryFolder out;
  save_checkpoint(out);
  std::string from = "--out_dir=" + out.path(), to = out / "q.h5";
  EXPECT_THAT(output_of(quantize_command, {from}), HasSubstr("--to=FILE.h5"));
  EXPECT_THAT(output_of(quantize_command, {from, "--to=" + (out / "q.bin")}),
              HasSubstr("must end with .h5"));
  std::string before = read_file(out / "ckpt.h5");
  EXPECT_THAT(output_of(quantize_command, {from, "--to=" + (out / "./ckpt.h5")}),
              HasSubstr("would replace the model that it is made from"));
  EXPECT_EQ(read_file(out / "ckpt.h5"), before);

  output_of(quantize_command, {from, "--to=" + to});
  EXPECT_THAT(error_of([&] { open_model(to, "", test_device()); }),
              HasSubstr(to + ": holds int8 weights, for inference alone"));
  EXPECT_THAT(output_of(quantize_command, {"--init_from=" + to, "--to=" + (out / "again.h5")}),
              HasSubstr("take the model that they were made from"));
  EXPECT_THAT(output_of(export_command, {"--init_from=" + to, "--to=" + (out / "exported")}),
              HasSubstr("take the model that they were made from"));
  OpenedModel opened = open_model(to, "", test_device(), Purpose::inference);
  EXPECT_EQ(error_of([&] { pack(opened, WeightFormat::int8); }), "");
  EXPECT_THAT(error_of([&] { pack(opened, WeightFormat::int4); }),
              HasSubstr("its weights are saved as int8 and cannot become int4"));
}

}  // namespace
}  // namespace folio
