// `folio sample` on a checkpoint: what --weights changes, and what is saved already.
#include "sample/sample_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/model_file.h"
#include "checkpoint/quantized_file.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/command.h"
#include "tests/data/temporary_folder.h"
#include "tiny_model.h"

namespace folio {
namespace {

using testing::HasSubstr;

CharTokenizer tokenizer() {
  std::u32string characters;
  for (char32_t c = U' '; std::ssize(characters) < V; ++c) characters += c;
  return CharTokenizer(characters);
}

class SampleCommand : public testing::Test {
 protected:
  SampleCommand() {
    CheckpointFile file;
    put_parameters(file, *a_model());
    put_tokenizer(file, tokenizer());
    save(best_checkpoint(folder_.path()), file);
  }
  std::string quantized(WeightFormat format) const {
    CheckpointFile file = quantize(*a_model(), format);
    put_tokenizer(file, tokenizer());
    std::string path = folder_ / fmt::format("{}.h5", format);
    save(path, file);
    return path;
  }
  // What it prints, and the Error.
  static std::string sample(std::vector<std::string> args) {
    for (const char* arg : {"--start=AB", "--num_samples=2", "--max_new_tokens=40"})
      args.push_back(arg);
    return output_of(sample_command, std::move(args));
  }
  std::string from_checkpoint(const std::string& weights) const {
    return sample({"--out_dir=" + folder_.path(), "--weights=" + weights});
  }

  TemporaryFolder folder_;
};

// The text of the same draws over a model packed here.
TEST_F(SampleCommand, WeightsAreWhatTheModelIsPackedIn) {
  for (WeightFormat format : {WeightFormat::int8, WeightFormat::int4}) {
    std::string plain = from_checkpoint("float32"),
                text = from_checkpoint(fmt::format("{}", format));
    EXPECT_THAT(text, testing::StartsWith("AB"));
    EXPECT_NE(text, plain) << name_of(format);
    EXPECT_EQ(sample({"--out_dir=" + folder_.path()}), plain);
  }
  EXPECT_THAT(from_checkpoint("int3"), HasSubstr("\"int8\" or \"int4\""));
}

TEST_F(SampleCommand, AQuantizedFileGivesTheTextOfItsFormat) {
  for (WeightFormat format : {WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4}) {
    std::string init_from = "--init_from=" + quantized(format);
    std::string name = fmt::format("{}", format), text = from_checkpoint(name);
    EXPECT_EQ(sample({init_from}), text) << name;
    EXPECT_EQ(sample({init_from, "--weights=" + name}), text) << name;
    EXPECT_THAT(sample({init_from, "--weights=float32"}),
                HasSubstr("saved as " + name + " and cannot become float32"));
  }
}

}  // namespace
}  // namespace folio
