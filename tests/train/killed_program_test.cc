// `folio train` itself, killed: what is on the disk then goes on to the bytes of a run that was
// never disturbed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>
#include <tuple>

#include "checkpoint/model_file.h"
#include "tests/paths.h"
#include "tests/train/tiny_run.h"

namespace folio {
namespace {

using Arguments = std::vector<std::string>;

// `folio train ARGUMENTS` as a child process, whose output comes line by line. It cannot run ahead
// of its reader by more than what the smallest pipe holds, fewer than 100 lines.
class Training {
 public:
  explicit Training(Arguments arguments) {
    arguments.insert(arguments.begin(), {folio_program(), "train"});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int ends[2];
    check(pipe(ends) == 0, "no pipe");
    fcntl(ends[0], F_SETPIPE_SZ, 1);  // one page; before anything is in it
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    output_ = fdopen(ends[0], "r");
    setvbuf(output_, nullptr, _IONBF, 0);
  }
  ~Training() {
    if (pid_ > 0) kill(SIGKILL);
    std::fclose(output_);
  }
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  // Until it has said that iteration `iter` is done; false if it ended before.
  bool reach(int64_t iter) {
    std::string wanted = fmt::format("iter {}:", iter);
    char line[512];
    while (std::fgets(line, sizeof line, output_))
      if (std::string_view(line).starts_with(wanted)) return true;
    return false;
  }
  // Sends `signal` (0: none) and waits for the end: what waitpid gives.
  int kill(int signal) {
    if (signal != 0) ::kill(pid_, signal);
    while (std::fgetc(output_) != EOF) {
    }
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

 private:
  pid_t pid_ = -1;
  FILE* output_ = nullptr;
};

using Bytes = std::map<std::string, std::vector<float>>;

class KilledProgram : public testing::TestWithParam<std::tuple<int, const char*>> {
 protected:
  Arguments arguments(const std::string& out_dir, bool resume) const {
    Arguments list{"--out_dir=" + folder_ / out_dir,
                   "--init_from=" + std::string(resume ? "resume" : "scratch"),
                   // Each line is a signal to the test; a resumed run needs none.
                   "--log_interval=" + std::string(resume ? "1000" : "1"),
                   fmt::format("--threads={}", std::get<0>(GetParam()))};
    auto add = [&](const char* name, auto value) {
      list.push_back(fmt::format("--{}={}", name, value));
    };
    add("data_dir", options_.data_dir), add("dataset", options_.dataset);
    add("n_layer", options_.model.n_layer), add("n_head", options_.model.n_head);
    add("n_embd", options_.model.n_embd), add("block_size", options_.model.block_size);
    add("batch_size", options_.batch_size), add("dropout", options_.model.dropout);
    add("gradient_accumulation_steps", options_.gradient_accumulation_steps);
    add("max_iters", options_.max_iters), add("lr_decay_iters", options_.lr_decay_iters);
    add("eval_interval", options_.eval_interval), add("eval_iters", options_.eval_iters);
    add("warmup_iters", options_.warmup_iters), add("learning_rate", options_.learning_rate);
    add("optimizer", std::get<1>(GetParam()));
    if (std::get<1>(GetParam()) == std::string("muon")) add("ema", 0.9), add("batches", "epochs");
    return list;
  }
  // The tensors of last.h5 after a run to its end.
  Bytes finish(const std::string& out_dir, bool resume) const {
    int status = Training(arguments(out_dir, resume)).kill(0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    Bytes bytes;
    for (const auto& [name, array] : load(last_checkpoint(folder_ / out_dir)).tensors)
      bytes[name] = to_vector<float>(array);
    return bytes;
  }
  // When a state is on the disk, and over 100 lines from the end: it cannot get there unseen.
  int64_t some_iteration() { return options_.eval_interval + int64_t(random_() % 30); }

  static TrainOptions options(const TemporaryFolder& folder) {
    TrainOptions o = tiny_options(folder);
    o.eval_interval = 10;
    o.max_iters = o.lr_decay_iters = 150;
    return o;
  }

  TemporaryFolder folder_;
  const TrainOptions options_ = options(folder_);
  std::mt19937 random_{5};
};

TEST_P(KilledProgram, ResumesToTheSameBytes) {
  Bytes expected = finish("whole", false);
  ASSERT_FALSE(expected.empty());
  for (int run = 0; run < 20; ++run) {
    std::string out_dir = fmt::format("killed-{}", run);
    int64_t at = some_iteration();
    Training training(arguments(out_dir, false));
    ASSERT_TRUE(training.reach(at));
    int status = training.kill(SIGKILL);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it ended by itself";
    EXPECT_TRUE(finish(out_dir, true) == expected) << "killed at iteration " << at;
  }
}

TEST_P(KilledProgram, AfterCtrlCToo) {
  Bytes expected = finish("whole", false);
  int64_t at = some_iteration();
  Training training(arguments("stopped", false));
  ASSERT_TRUE(training.reach(at));
  int status = training.kill(SIGINT);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 130) << "status " << status;
  CheckpointFile saved = load(last_checkpoint(folder_ / "stopped"));
  EXPECT_GT(saved.attribute<int64_t>("iter_num"), at) << "the step at hand is finished and saved";
  EXPECT_TRUE(finish("stopped", true) == expected);
}

INSTANTIATE_TEST_SUITE_P(ThreadsAndOptimizers, KilledProgram,
                         testing::Values(std::tuple(1, "adamw"), std::tuple(2, "adamw"),
                                         std::tuple(2, "muon")));

}  // namespace
}  // namespace folio
