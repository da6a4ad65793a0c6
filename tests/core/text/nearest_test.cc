#include "core/text/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace folio {

const std::vector<std::string> commands = {"prepare", "train", "eval", "sample", "bench"};

TEST(Nearest, FindsASlipOfTheHand) {
  EXPECT_EQ(nearest("trian", commands), "train");
  EXPECT_EQ(nearest("sampl", commands), "sample");
  EXPECT_EQ(nearest("prepares", commands), "prepare");
  EXPECT_EQ(nearest("bemch", commands), "bench");
}

TEST(Nearest, PrefersTheFewestEditsAndThenTheFirst) {
  EXPECT_EQ(nearest("beta3", std::vector<std::string>{"beta", "beta2"}), "beta");
  EXPECT_EQ(nearest("eta22", std::vector<std::string>{"beta1", "eta2"}), "eta2");
}

TEST(Nearest, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(nearest("xyzzy", commands), "");
  EXPECT_EQ(nearest("train", {}), "");
}

}  // namespace folio
