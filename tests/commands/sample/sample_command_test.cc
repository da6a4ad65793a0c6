// `folio sample` on a checkpoint: what --weights changes, and what is saved already.
#include "commands/sample/sample_command.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "checkpoint/model_file.h"
#include "checkpoint/quantized_file.h"
#include "core/process/stop.h"
#include "data/dataset/meta.h"
#include "data/files/files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/command.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"
#include "tests/sample/tiny_model.h"

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
    put_parameters(file, *dense_model());
    put_tokenizer(file, tokenizer());
    save(best_checkpoint(folder_.path()), file);
  }
  std::string quantized(WeightFormat format) const {
    CheckpointFile file = quantize(*dense_model(), format);
    put_tokenizer(file, tokenizer());
    std::string path = folder_ / fmt::format("{}.h5", format);
    save(path, file);
    return path;
  }
  // What it prints, and the Error.
  static std::string sample(std::vector<std::string> args) {
    for (const char* arg : {"--start=AB", "--num_samples=2", "--max_new_tokens=40"})
      args.push_back(arg);
    args.push_back("--device=" + name_of(test_device()));
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

// By default a text goes on without end where the model can, as block elsewhere.
TEST_F(SampleCommand, PastBlockIsWhatTheModelAllows) {
  auto in = [&](const std::string& name, const GptConfig& config) {
    CheckpointFile file;
    put_parameters(file, *dense_model(config));
    put_tokenizer(file, tokenizer());
    save(folder_ / name, file);
    return "--init_from=" + (folder_ / name);
  };
  GptConfig config = endless_config();
  const std::string endless = in("endless.h5", config);
  config.attention_window = 0;
  const std::string rotary = in("rotary.h5", config), learned = "--out_dir=" + folder_.path();
  auto past = [](const std::string& model, const std::string& mode) {
    return sample({model, "--past_block=" + mode});
  };
  EXPECT_EQ(sample({endless}), past(endless, "window"));
  EXPECT_NE(sample({endless}), past(endless, "block"));
  for (const std::string& model : {learned, rotary}) {
    EXPECT_EQ(sample({model}), past(model, "block"));
    EXPECT_NE(sample({model}), past(model, "slide"));
    EXPECT_THAT(past(model, "window"), HasSubstr("past_block=window: needs a model whose"));
  }
  EXPECT_THAT(sample({endless, "--keep=3"}), HasSubstr("leave keep out"));

  // The weights are the same, and so is what a window given to them makes of them.
  testing::internal::CaptureStderr();
  const std::string given = sample({rotary, fmt::format("--window={}", W)});
  EXPECT_THAT(
      testing::internal::GetCapturedStderr(),
      HasSubstr("rotary.h5: a window of 11 positions; trained without a window: approximate"));
  EXPECT_EQ(given, sample({endless}));
  EXPECT_THAT(sample({rotary, "--window=17"}), HasSubstr("it can be 1 to 16"));
  EXPECT_THAT(sample({learned, "--window=11"}), HasSubstr("this model has position=learned"));
  EXPECT_THAT(sample({endless, "--window=12"}), HasSubstr("trained with one of 11 and keeps it"));
}

// Standard output as the shell's > and | give it, for as long as this lives.
class Redirected {
 public:
  explicit Redirected(int to) : saved_(dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    dup2(to, STDOUT_FILENO);
    close(to);
  }
  ~Redirected() {
    std::fflush(stdout);
    dup2(saved_, STDOUT_FILENO);
    close(saved_);
  }

 private:
  int saved_;
};

TEST_F(SampleCommand, WhatCannotBeWrittenIsAnError) {
  std::vector<std::string> args{"sample", "--out_dir=" + folder_.path(), "--start=AB"};
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  auto run = [&] { sample_command(int(argv.size()), argv.data()); };
  {
    Redirected full(open("/dev/full", O_WRONLY));
    EXPECT_THAT(message_of(run), HasSubstr("standard output: cannot write: No space left"));
  }
  // `| head`: nobody reads any more.
  auto before = signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  {
    Redirected pipe(ends[1]);
    EXPECT_THROW(run(), Interrupted);
  }
  EXPECT_EQ(stop_signal(), SIGPIPE);
  forget_stop();
  signal(SIGPIPE, before);
}

TEST_F(SampleCommand, InteractiveRefusesWhatItWouldIgnore) {
  for (std::string option : {"num_samples=2", "logprobs=0", "batch_size=4"}) {
    std::string name = option.substr(0, option.find('='));
    EXPECT_THAT(
        output_of(sample_command, {"--out_dir=" + folder_.path(), "--interactive", "--" + option}),
        testing::StartsWith("command line: " + name + ": --interactive"));
  }
}

// nanoGPT pads its vocabulary; files of its kind know no tokenizer.
TEST_F(SampleCommand, ATokenizerFromElsewhere) {
  CheckpointFile file = quantize(*dense_model(V + 3), WeightFormat::bf16);
  file.attributes["option/dataset"] = std::string("text");
  save(folder_ / "bare.h5", file);
  std::filesystem::create_directories(folder_ / "text");
  auto shared = std::make_shared<CharTokenizer>(tokenizer());
  write_file(folder_ / "text/meta.json", to_json(Meta{shared, 1, 1, "a text"}));
  std::string model = "--init_from=" + (folder_ / "bare.h5");
  std::string text = sample({model, "--tokenizer=" + (folder_ / "text")});
  EXPECT_THAT(text, testing::StartsWith("AB"));
  EXPECT_EQ(sample({model, "--dataset=text", "--data_dir=" + folder_.path()}), text);
  EXPECT_THAT(sample({model, "--data_dir=" + folder_.path()}),
              HasSubstr("has 65 tokens, the model 68"));
}

}  // namespace
}  // namespace folio
