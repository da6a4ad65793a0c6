#include "commands/train/update_ratio.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

std::map<std::string, std::vector<float>> hidden_matrices(Gpt& model) {
  std::set<std::string> names;
  model.hidden_matrices([&](const std::string& name, auto&) { names.insert(name); });
  std::map<std::string, std::vector<float>> all;
  model.parameters([&](const std::string& name, Parameter& parameter) {
    if (names.contains(name)) all[name] = to_vector<float>(parameter.array());
  });
  return all;
}

TEST(UpdateRatio, IsThatOfEachMatrixInOneStep) {
  for (const char* optimizer : {"adamw", "muon"}) {
    TemporaryFolder folder;
    TrainOptions options = tiny_options(folder);
    options.optimizer = optimizer;
    folio::Run run(options, {});
    train_step(run);
    UpdateRatio ratio;
    EXPECT_FALSE(ratio.has_before());
    ratio.before(*run.model);
    const auto before = hidden_matrices(*run.model);
    train_step(run);
    const auto measured = ratio.after(*run.model);
    std::vector<double> expected;
    for (const auto& [name, after] : hidden_matrices(*run.model)) {
      double change = 0, size = 0;
      for (size_t i = 0; i < after.size(); ++i) {
        const double old = before.at(name)[i];
        change += (after[i] - old) * (after[i] - old);
        size += old * old;
      }
      expected.push_back(std::sqrt(change / size));
    }
    ASSERT_EQ(expected.size(), 8u);
    std::sort(expected.begin(), expected.end());
    ASSERT_TRUE(measured);
    EXPECT_NEAR(measured->least, expected.front(), 1e-5 * expected.front());
    EXPECT_NEAR(measured->median, expected[4], 1e-5 * expected[4]);
    EXPECT_NEAR(measured->most, expected.back(), 1e-5 * expected.back());
    EXPECT_FALSE(ratio.has_before());
    EXPECT_FALSE(ratio.after(*run.model));
  }
}

}  // namespace
}  // namespace folio
