// One run on two devices: the same losses, and checkpoints that go on from one to the other.
#include <gtest/gtest.h>

#include "checkpoint/model_file.h"
#include "tests/device.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

class Losses : public Observer {
 public:
  explicit Losses(std::vector<double>& losses) : losses_(losses) {}
  void stepped(const folio::Run&, const Step& step) override { losses_.push_back(step.loss); }

 private:
  std::vector<double>& losses_;
};

class Devices : public testing::Test {
 protected:
  Devices() {
    options.eval_interval = 100;
    options.max_iters = 20;
  }
  // From where the folder's last checkpoint is, or from the start, to the end of iteration `last`.
  void train_to(int64_t last, const std::string& device, std::vector<double>& losses) {
    TrainOptions now = options;
    now.device = device;
    now.max_iters = last;
    OptionOrigins given{{"device", "the test"}, {"max_iters", "the test"}};
    if (!losses.empty()) now.init_from = "resume";
    Losses observer(losses);
    folio::Run run(now, given);
    train(run, observer);
  }
  std::vector<double> losses_on(const std::string& device) {
    options.out_dir = folder / ("all-on-" + device);
    std::vector<double> losses;
    train_to(options.max_iters, device, losses);
    return losses;
  }
  static void expect_near(const std::vector<double>& got, const std::vector<double>& expected,
                          double difference) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], difference) << i;
  }

  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  const std::string device = name_of(test_device());
};

TEST_F(Devices, GiveTheSameLosses) {
  const std::vector<double> expected = losses_on("cpu"), got = losses_on(device);
  ASSERT_GE(expected.size(), 20u);
  EXPECT_LT(expected.back(), expected.front() - 0.5) << "it learns nothing";
  expect_near(got, expected, 1e-4);
  EXPECT_EQ(losses_on(device), got) << "another run gave other bytes";
}

TEST_F(Devices, GoOnFromEachOthersCheckpoints) {
  const std::vector<double> expected = losses_on("cpu");
  options.out_dir = folder / "in-turn";
  std::vector<double> losses;
  train_to(6, "cpu", losses);
  train_to(13, device, losses);
  train_to(options.max_iters, "cpu", losses);
  expect_near(losses, expected, 1e-4);
}

}  // namespace
}  // namespace folio
