#include "configs/rules.h"

#include <gtest/gtest.h>

namespace folio {
namespace {

TEST(Rules, HoldAtTheirEdges) {
  auto accepts = [](const Rule& rule, OptionValue value) { return rule.accepts(value); };
  EXPECT_TRUE(accepts(at_least(0), 0.0));
  EXPECT_FALSE(accepts(at_least(0), -1e-9));
  EXPECT_TRUE(accepts(at_least_0_below_1(), 0.0));
  EXPECT_FALSE(accepts(at_least_0_below_1(), 1.0));
  EXPECT_FALSE(accepts(at_least_0_below_1(), -0.1));
  EXPECT_TRUE(accepts(above_0_up_to_1(), 1.0));
  EXPECT_FALSE(accepts(above_0_up_to_1(), 0.0));
  EXPECT_FALSE(accepts(above_0_up_to_1(), 1.1));
  EXPECT_TRUE(accepts(one_of({"a", "b"}), std::string("b")));
  EXPECT_FALSE(accepts(one_of({"a", "b"}), std::string("")));
  EXPECT_EQ(one_of({"a", "b"}).wanted, "\"a\" or \"b\"");
}

}  // namespace
}  // namespace folio
