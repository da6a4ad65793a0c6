// A request to stop, at every moment: `prepare` ends, and everything is as it was.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/process/stop.h"
#include "data/corpus/prepare.h"
#include "data/corpus/token_dataset.h"
#include "data/files/files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

// Asks to stop in its n-th call of encode.
class StoppingTokenizer : public Tokenizer {
 public:
  explicit StoppingTokenizer(int n) : left_(n) {}
  int64_t vocab_size() const override { return 65536; }
  std::vector<int32_t> encode(std::string_view text, SpecialTokens) const override {
    int left = --left_;
    if (left == 0) request_stop(15);
    if (left < 0) ++calls_after_;
    return std::vector<int32_t>(text.size(), 7);
  }
  std::string decode(std::span<const int32_t>) const override { return ""; }
  std::optional<int32_t> end_of_text() const override { return 0; }
  int calls_after() const { return calls_after_; }
  nlohmann::ordered_json to_json() const override { return CharTokenizer(U"a").to_json(); }

 private:
  mutable std::atomic<int> left_, calls_after_ = 0;
};

class PrepareStopped : public testing::Test {
 protected:
  PrepareStopped() {
    write_file(folder_ / "in.txt", "the old text, of some length");
    fs::create_directory(folder_ / "sets");
    run([&] { prepare({.name = "set", .input = folder_ / "in.txt", .data_dir = sets_}); });
    before_ = contents();
  }
  // The signal that it ended with; 0 if it went on to its end.
  template <class F>
  int run(F&& f) {
    int signal = 0;
    try {
      f();
    } catch (const Interrupted& interrupted) {
      signal = interrupted.signal;
    }
    forget_stop();
    return signal;
  }
  // Of everything in the folder of the datasets.
  std::map<std::string, std::string> contents() {
    std::map<std::string, std::string> contents;
    for (const auto& entry : fs::recursive_directory_iterator(sets_))
      contents[entry.path().string()] = entry.is_regular_file() ? read_file(entry.path()) : "";
    return contents;
  }

  TemporaryFolder folder_;
  std::string sets_ = folder_ / "sets";
  std::map<std::string, std::string> before_;
};

TEST_F(PrepareStopped, AtAnyChunkOnAnyThreadLeavesEverythingAsItWas) {
  fs::create_directory(folder_ / "corpus");
  for (int i = 0; i < 40; ++i) {
    std::string name = fmt::format("corpus/{:02}.txt", i);
    write_file(folder_ / name, std::string(size_t(i == 20 ? 3 << 20 : 100 << 10), 'x'));
  }
  CorpusInput input{folder_ / "corpus", folder_ / "corpus", ""};
  for (int64_t threads : {1, 3}) {
    PrepareOptions options{.val_fraction = 0.5, .threads = threads};
    for (int n = 1; n <= 40; ++n) {
      auto tokenizer = std::make_shared<StoppingTokenizer>(n);
      EXPECT_EQ(run([&] { write_token_dataset(input, options, tokenizer, sets_ + "/set"); }), 15);
      EXPECT_LT(tokenizer->calls_after(), threads);  // each thread ends what it is at
      EXPECT_TRUE(contents() == before_) << n;
    }
  }
  EXPECT_EQ(run([&] {
              write_token_dataset(input, {}, std::make_shared<StoppingTokenizer>(1000),
                                  sets_ + "/set");
            }),
            0);
  EXPECT_FALSE(contents() == before_);
}

// From another thread, before it starts and after any number of that thread's turns.
TEST_F(PrepareStopped, AtAnyMomentOfCharactersLeavesEverythingAsItWasOrIsDone) {
  write_file(folder_ / "long.txt", std::string(6 << 20, 'y') + "z");
  std::string told;
  auto prepare_from = [&](const char* input) {
    told.clear();
    return run([&] {
      prepare({.name = "set",
               .input = folder_ / input,
               .data_dir = sets_,
               .tell = [&](const std::string& lines) { told += lines; }});
    });
  };
  prepare_from("long.txt");
  auto done = contents();
  for (int turns = 0; turns < 1 << 26; turns = 2 * turns + 1) {
    ASSERT_EQ(prepare_from("in.txt"), 0);
    std::atomic<bool> started = turns == 0;
    std::thread other([&] {
      while (!started) {
      }
      std::atomic<int> turn = 0;
      while (turn < turns) ++turn;
      request_stop(1);
    });
    if (turns == 0) other.join();
    started = true;
    int signal = prepare_from("long.txt");
    if (turns > 0) other.join();
    forget_stop();
    EXPECT_TRUE(contents() == (signal ? before_ : done)) << turns;
    if (turns == 0) {
      EXPECT_EQ(signal, 1);
      EXPECT_EQ(told, "");  // nothing was read
    }
  }
}

TEST_F(PrepareStopped, WhileAPipeGivesNothingMakesNoFolder) {
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  std::jthread other([] { request_stop(2); });
  EXPECT_EQ(
      run([&] { prepare({.name = "new", .input = folder_ / "pipe", .data_dir = sets_ + "/a/b"}); }),
      2);
  other.join();
  forget_stop();
  EXPECT_TRUE(contents() == before_);
}

TEST_F(PrepareStopped, FailingMakesNoFolderEither) {
  write_file(folder_ / "bad.txt", "abc\xff");
  EXPECT_THROW(run([&] {
                 prepare({.name = "new", .input = folder_ / "bad.txt", .data_dir = sets_ + "/a"});
               }),
               Error);
  EXPECT_TRUE(contents() == before_);
}

}  // namespace
}  // namespace folio
