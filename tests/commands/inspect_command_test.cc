// `folio inspect`.
#include "commands/inspect_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/hugging_face.h"
#include "checkpoint/model_file.h"
#include "data/files/files.h"
#include "tests/command.h"
#include "tests/device.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::Not;

class InspectCommand : public testing::Test {
 protected:
  void SetUp() override {
    options = tiny_options(folder);
    folio::Run run(options, {});
    std::filesystem::create_directories(options.out_dir);
    save(best_checkpoint(options.out_dir), run.snapshot());
  }
  std::string inspect(std::vector<std::string> args) {
    args.push_back("--device=" + name_of(test_device()));
    return output_of(inspect_command, std::move(args));
  }
  nlohmann::json json(std::vector<std::string> args) {
    args.insert(args.end(), {"--o=", "--json=" + (folder / "x.json")});
    const std::string output = inspect(std::move(args));
    EXPECT_THAT(output, HasSubstr("wrote " + (folder / "x.json")));
    return nlohmann::json::parse(read_file(folder / "x.json"));
  }
  TemporaryFolder folder;
  TrainOptions options;
  std::string out_dir() const { return "--out_dir=" + options.out_dir; }
};

TEST_F(InspectCommand, WritesAPageTheNumbersAndTheTensors) {
  const std::string page = folder / "report.html", npz = folder / "x.npz";
  const std::string output = inspect({out_dir(), "--start=to be king", "-o", page, "--npz=" + npz});
  EXPECT_THAT(output, HasSubstr("iteration 0"));
  EXPECT_THAT(output, HasSubstr("wrote " + page + " ("));
  const std::string html = read_file(page);
  EXPECT_TRUE(html.starts_with("<!DOCTYPE html>"));
  EXPECT_THAT(html, HasSubstr("\"live\":true"));
  EXPECT_THAT(html, HasSubstr("\"past_block\":\"block\""));
  EXPECT_TRUE(read_file(npz).starts_with("PK"));
  const std::string off = inspect({out_dir(), "--start=to be king", "-o" + page, "--live=off"});
  EXPECT_THAT(read_file(page), HasSubstr("\"live\":false"));
  EXPECT_LT(read_file(page).size(), html.size());
}

TEST_F(InspectCommand, ReadsTheTextThatIsGiven) {
  nlohmann::json numbers = json({out_dir(), "--start=to be"});
  EXPECT_EQ(numbers.at("text"), "to be");
  EXPECT_EQ(numbers.at("tokens").size(), 5u);
  write_file(folder / "text.txt", "the king is dead, long live the king");
  numbers = json({out_dir(), "--start=FILE:" + (folder / "text.txt")});
  EXPECT_EQ(numbers.at("text"), "ng live the king") << "the last block_size tokens";
  EXPECT_EQ(numbers.at("tokens").size(), 16u);
  numbers = json({out_dir(), "--start=to be or not", "--max_tokens=3"});
  EXPECT_EQ(numbers.at("text"), "not");
}

TEST_F(InspectCommand, TheStepIsAdamWsWithTheRunsMoments) {
  nlohmann::json backward = json({out_dir(), "--start=to be"}).at("backward");
  EXPECT_EQ(backward.at("step"),
            "one step of AdamW at learning rate 0.01, with the run's moments after 0 steps");
  // Of the first step of all the update is the learning rate for each element with a gradient, but
  // for the decay.
  for (const nlohmann::json& p : backward.at("parameters")) {
    if (p.at("shape").size() != 1) continue;
    const double elements = p.at("shape")[0].get<double>() - p.at("zeros").get<double>();
    EXPECT_NEAR(p.at("update_norm"), 0.01 * std::sqrt(elements), 2e-3 * std::sqrt(elements));
  }
  folio::Run run(options, {});
  save_hugging_face(folder / "hf", *run.model, run.data.meta.tokenizer.get());
  backward = json({"--init_from=" + (folder / "hf"), "--start=to be"}).at("backward");
  EXPECT_EQ(backward.at("step"),
            "one step of AdamW at learning rate 0.0006, the first, without moments from before");
}

TEST_F(InspectCommand, ShowsASecondModelBesideTheFirst) {
  TrainOptions other = options;
  other.out_dir = folder / "other";
  other.model.position = "rotary";
  folio::Run run(other, {});
  std::filesystem::create_directories(other.out_dir);
  save(best_checkpoint(other.out_dir), run.snapshot());
  const nlohmann::json numbers =
      json({out_dir(), "--start=to be king", "--compare=" + other.out_dir}).at("compare");
  EXPECT_EQ(numbers.at("config"), nlohmann::json::parse(R"([["position", "learned", "rotary"]])"));
  EXPECT_EQ(numbers.at("attention_distance").size(), 4u);
  EXPECT_THAT(inspect({out_dir(), "--start=to be king", "--compare=" + other.out_dir, "-o",
                       folder / "two.html"}),
              HasSubstr("compared with " + other.out_dir));
  EXPECT_THAT(read_file(folder / "two.html"), HasSubstr("\"compare\":{"));
  EXPECT_THAT(inspect({out_dir(), "--start=to be king", "--compare=/no/such"}),
              HasSubstr("/no/such"));
}

TEST_F(InspectCommand, SaysWhatIsWrong) {
  EXPECT_THAT(inspect({out_dir()}), HasSubstr("give the text to read with --start=TEXT"));
  EXPECT_THAT(inspect({out_dir(), "--start=t"}), HasSubstr("has 1 tokens, and needs two or more"));
  EXPECT_THAT(inspect({out_dir(), "--start=\xC3\xA9t\xC3\xA9"}), HasSubstr("U+00E9"));
  EXPECT_THAT(inspect({out_dir(), "--start=to be", "-o", "/no/such/folder/x.html"}),
              HasSubstr("/no/such/folder/x.html"));
  EXPECT_THAT(inspect({out_dir(), "--start=to be", "--live=maybe"}), HasSubstr("auto"));
  EXPECT_THAT(inspect({out_dir(), "--start=to be", "--max_token=3"}),
              HasSubstr("did you mean \"max_tokens\""));
}

}  // namespace
}  // namespace folio
