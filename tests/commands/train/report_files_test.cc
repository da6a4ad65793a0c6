// What a run keeps of itself beside its checkpoints: the page, samples; and what it leaves alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <optional>
#include <random>

#include "checkpoint/model_file.h"
#include "commands/sample/sample_command.h"
#include "commands/train/run_history.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/command.h"
#include "tests/commands/train/report_run.h"
#include "tests/data/file_size_limit.h"
#include "tests/paths.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class ReportFiles : public testing::Test {
 protected:
  std::string file(const std::string& name) const {
    return read_file((fs::path(options.out_dir) / name).string());
  }
  std::string page() const { return file("report.html"); }
  bool run(const std::string& init_from = "scratch") {
    options.init_from = init_from;
    testing::internal::CaptureStdout();
    bool complete = train_watched(options);
    output = testing::internal::GetCapturedStdout();
    return complete;
  }
  TemporaryFolder folder;
  TrainOptions options = watched_options(folder);
  std::string output;
};

// All that last.h5 has, but how the run is watched.
std::pair<std::map<std::string, std::vector<float>>, std::map<std::string, Attribute>> state_in(
    const fs::path& path) {
  CheckpointFile file = load(path);
  std::map<std::string, std::vector<float>> tensors;
  for (const auto& [name, array] : file.tensors) tensors[name] = to_vector<float>(array);
  for (const char* name : {"report", "sample_tokens", "tensorboard", "plot"})
    EXPECT_EQ(file.attributes.erase(std::string("option/") + name), 1u) << name;
  return {tensors, file.attributes};
}

TEST_F(ReportFiles, TheRunIsTheSameWithAndWithoutThem) {
  for (double ema : {0.0, 0.9}) {
    options.ema = ema;
    options.dtype = ema > 0 ? "bfloat16" : "float32";
    fs::remove_all(options.out_dir);
    options.report = options.tensorboard = true, options.sample_tokens = 20, options.plot = "on";
    run();
    EXPECT_TRUE(fs::exists(fs::path(options.out_dir) / "report.html"));
    const auto last = state_in(last_checkpoint(options.out_dir)),
               best = state_in(best_checkpoint(options.out_dir));
    fs::remove_all(options.out_dir);
    options.report = options.tensorboard = false, options.sample_tokens = 0, options.plot = "off";
    run();
    for (const char* name : {"report.html", "samples.jsonl", "tensorboard"})
      EXPECT_FALSE(fs::exists(fs::path(options.out_dir) / name)) << name;
    EXPECT_TRUE(state_in(last_checkpoint(options.out_dir)) == last);
    EXPECT_TRUE(state_in(best_checkpoint(options.out_dir)) == best);
  }
}

TEST_F(ReportFiles, ThePageHasTheLogsNumbers) {
  EXPECT_TRUE(run());
  const nlohmann::json curves = page_data(page(), "curves");
  std::vector<LogRow> evaluations, steps;
  for (const LogRow& row : read_log(fs::path(options.out_dir) / "log.csv"))
    (row.is_evaluation() ? evaluations : steps).push_back(row);
  ASSERT_THAT(evaluations, SizeIs(4));
  ASSERT_THAT(steps, SizeIs(13));
  for (const auto& [name, rows] : {std::pair{"evaluations", &evaluations}, {"steps", &steps}}) {
    for (const LogColumn& column : log_columns()) {
      const std::vector<float> shown = numbers(curves[name][column.name]);
      ASSERT_EQ(shown.size(), rows->size()) << column.name;
      for (size_t i = 0; i < shown.size(); ++i) {
        const std::optional<double>& value = (*rows)[i].*column.member;
        // log.csv has six digits of it.
        if (value)
          EXPECT_NEAR(shown[i], *value, 1e-5 * std::abs(*value) + 0.006) << column.name;
        else
          EXPECT_TRUE(std::isnan(shown[i])) << column.name;
      }
    }
  }
  const double best = load(best_checkpoint(options.out_dir)).attribute<double>("val_loss");
  EXPECT_EQ(curves["best"]["val_loss"], best);
  EXPECT_EQ(page_data(page(), "now")["state"], "finished");
  const nlohmann::json given = page_data(page(), "facts")["options"]["given"];
  EXPECT_THAT(given.dump(), HasSubstr(R"(["max_iters","12","600000",""])"));
}

TEST_F(ReportFiles, AResumedRunGoesOnWithTheCurvesAndSamples) {
  run();
  const std::string samples = file("samples.jsonl");
  const auto iters = [&](const char* table) {
    return numbers(page_data(page(), "curves")[table]["iter"]);
  };
  const std::vector<float> evaluations = iters("evaluations"), steps = iters("steps");
  fs::remove_all(options.out_dir);
  options.max_iters = 6;
  run();
  options.max_iters = 12;
  // As a kill later on leaves them.
  std::ofstream(fs::path(options.out_dir) / "samples.jsonl", std::ios::app)
      << "{\"iter\":8,\"text\":\"x\"}\n{\"iter\":";
  options.init_from = "resume";
  testing::internal::CaptureStdout();
  {
    folio::Run again(options, {{"max_iters", "command line"}});
    Report report;
    train(again, report);
  }
  testing::internal::GetCapturedStdout();
  EXPECT_EQ(iters("evaluations"), evaluations);
  EXPECT_EQ(iters("steps"), steps);
  EXPECT_EQ(file("samples.jsonl"), samples);
}

TEST_F(ReportFiles, ASampleIsWhatFolioSampleDrawsFromThatCheckpoint) {
  run();
  const int64_t best = load(best_checkpoint(options.out_dir)).attribute<int64_t>("iter_num");
  std::string sampled;
  for (const TrainingSample& sample : read_samples(fs::path(options.out_dir) / "samples.jsonl"))
    if (sample.iter == best) sampled = sample.text;
  ASSERT_FALSE(sampled.empty());
  EXPECT_EQ(output_of(sample_command, {"--out_dir=" + options.out_dir, "--num_samples=1",
                                       "--max_new_tokens=20", "--device=" + options.device}),
            sampled + "\n");
}

TEST_F(ReportFiles, WithoutASampleOrPeopleToReadItThereIsNone) {
  options.sample_tokens = 0;
  run();
  EXPECT_FALSE(fs::exists(fs::path(options.out_dir) / "samples.jsonl"));
  EXPECT_THAT(page_data(page(), "samples"), SizeIs(0));
}

TEST_F(ReportFiles, AFullDiskLeavesTheLastWholePageAndEndsNoRun) {
  run();
  const std::string before = page();
  options.max_iters = 20;
  options.init_from = "resume";
  folio::Run resumed(options, {{"max_iters", "command line"}});
  bool complete = true;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  {
    FileSizeLimit full(3000);
    Report report;
    try {
      train(resumed, report);
    } catch (const Error&) {  // its last state cannot be saved either
    }
    complete = report.complete();
  }
  testing::internal::GetCapturedStdout();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("report.html"));
  EXPECT_FALSE(complete);
  EXPECT_EQ(resumed.iter, 21);
  EXPECT_TRUE(page() == before);
}

// Hostile names: of the folder, the dataset and the characters of the vocabulary.
TEST_F(ReportFiles, HostileTextIsTextInThePage) {
  const std::string hostile = "<script>alert(1)</script>\u202e\x1b[2J&\"'\xff";
  options.out_dir = folder / hostile;
  EXPECT_TRUE(run());
  const std::string html = page();
  for (const char* harmful : {"<script>alert", "\x1b", "\u202e"})
    EXPECT_EQ(html.find(harmful), html.npos) << harmful;
  const std::string shown = page_data(html, "facts")["out_dir"];
  EXPECT_THAT(shown, HasSubstr("<script>alert(1)</script>\u202e\x1b[2J&\"'\uFFFD"));
  EXPECT_THAT(output, Not(HasSubstr("\x1b[2J")));
  EXPECT_THAT(output, Not(HasSubstr("\u202e")));
  EXPECT_THAT(output, HasSubstr("\\x1b[2J"));
}

TEST(Samples, AreLinesOfJsonWhateverTheyHold) {
  TemporaryFolder folder;
  const std::vector<TrainingSample> samples{
      {0, ""}, {250, std::string("a\0\n\"\\<\u2028", 10)}, {500, "\xff"}};
  write_file(folder / "samples.jsonl", to_json_lines(samples));
  std::vector<TrainingSample> read = read_samples(folder / "samples.jsonl");
  ASSERT_THAT(read, SizeIs(3));
  EXPECT_EQ(read[1].text, samples[1].text);
  EXPECT_EQ(read[2].text, "\uFFFD");
}

// `folio train` itself, killed: whenever that is, the page that is there opens and is whole.
TEST_F(ReportFiles, KilledAtAnyMomentThePageIsWhole) {
  std::mt19937 random(7);
  int pages = 0;
  for (int time = 0; time < 12; ++time) {
    fs::remove_all(options.out_dir);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      std::vector<std::string> args{folio_program(),
                                    "train",
                                    "--out_dir=" + options.out_dir,
                                    "--dataset=tiny",
                                    "--data_dir=" + options.data_dir,
                                    "--n_layer=1",
                                    "--n_head=2",
                                    "--n_embd=16",
                                    "--block_size=16",
                                    "--batch_size=4",
                                    "--gradient_accumulation_steps=1",
                                    "--max_iters=9999",
                                    "--eval_interval=1",
                                    "--eval_iters=1",
                                    "--sample_tokens=5",
                                    "--threads=1"};
      std::vector<char*> argv;
      for (std::string& arg : args) argv.push_back(arg.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    // So many bytes of output on, it is somewhere in its work.
    std::string shown(200 + random() % 6000, '\0');
    for (size_t got = 0; got < shown.size();) {
      const ssize_t count = read(ends[0], shown.data(), shown.size() - got);
      ASSERT_GT(count, 0);
      got += size_t(count);
    }
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    close(ends[0]);
    if (!fs::exists(fs::path(options.out_dir) / "report.html")) continue;
    ++pages;
    const std::string html = page();
    EXPECT_TRUE(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
    EXPECT_EQ(page_data(html, "now")["state"], "running");
    EXPECT_NO_THROW(page_data(html, "curves"));
  }
  EXPECT_GT(pages, 6);
}

}  // namespace
}  // namespace folio
