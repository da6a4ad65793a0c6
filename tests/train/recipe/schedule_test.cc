#include "train/optimizer/schedule.h"

#include <gtest/gtest.h>

namespace folio {
namespace {

TrainOptions options() {
  TrainOptions o;
  o.learning_rate = 1e-2;
  o.min_lr = 1e-3;
  o.muon_lr = 0.05;
  o.warmup_iters = 10;
  o.lr_decay_iters = 110;
  return o;
}

TEST(Schedule, AllWarmUpAlikeAndEndAtTheFloor) {
  TrainOptions o = options();
  for (std::string schedule : {"cosine", "linear", "wsd"}) {
    o.schedule = schedule;
    EXPECT_DOUBLE_EQ(learning_rate(0, o), 1e-2 / 11) << schedule;
    EXPECT_DOUBLE_EQ(learning_rate(9, o), 1e-2 * 10 / 11) << schedule;
    EXPECT_DOUBLE_EQ(learning_rate(10, o), 1e-2) << schedule;
    EXPECT_DOUBLE_EQ(learning_rate(110, o), 1e-3) << schedule;
    EXPECT_DOUBLE_EQ(learning_rate(1000, o), 1e-3) << schedule;
    EXPECT_DOUBLE_EQ(muon_lr(0, o), 0.05 / 11) << schedule;
    EXPECT_DOUBLE_EQ(muon_lr(10, o), 0.05) << schedule;
    EXPECT_DOUBLE_EQ(muon_lr(110, o), 0.005) << schedule;
  }
  o.decay_lr = false;
  EXPECT_EQ(learning_rate(0, o), 1e-2);
  EXPECT_EQ(muon_lr(90, o), 0.05);
}

TEST(Schedule, BetweenTheyFollowTheirFormulas) {
  TrainOptions o = options();
  EXPECT_DOUBLE_EQ(learning_rate(35, o), 1e-3 + 9e-3 * (1 + std::sqrt(0.5)) / 2);  // cos 45 degrees
  o.schedule = "linear";
  EXPECT_DOUBLE_EQ(learning_rate(35, o), 1e-3 + 9e-3 * 0.75);
  EXPECT_DOUBLE_EQ(learning_rate(85, o), 1e-3 + 9e-3 * 0.25);
  o.schedule = "wsd";
  o.decay_fraction = 0.5;  // from iteration 55 on
  EXPECT_DOUBLE_EQ(learning_rate(11, o), 1e-2);
  EXPECT_DOUBLE_EQ(learning_rate(55, o), 1e-2);
  EXPECT_DOUBLE_EQ(learning_rate(66, o), 1e-3 + 9e-3 * 0.8);
  o.decay_fraction = 1;  // never into the warm-up
  EXPECT_DOUBLE_EQ(learning_rate(60, o), 1e-3 + 9e-3 * 0.5);
}

TEST(Schedule, MuonsMomentumRises) {
  TrainOptions o;
  o.muon_warmup_iters = 20;
  EXPECT_DOUBLE_EQ(muon_momentum(0, o), 0.85);
  EXPECT_DOUBLE_EQ(muon_momentum(5, o), 0.875);
  EXPECT_EQ(muon_momentum(20, o), 0.95);
  o.muon_warmup_iters = 0;
  EXPECT_EQ(muon_momentum(0, o), 0.95);
}

TEST(Schedule, WeightDecayFallsToNothing) {
  TrainOptions o = options();
  o.weight_decay = 0.4;
  EXPECT_EQ(weight_decay(55, o), 0.4);
  o.weight_decay_schedule = "linear";
  EXPECT_EQ(weight_decay(0, o), 0.4);
  EXPECT_DOUBLE_EQ(weight_decay(55, o), 0.2);
  EXPECT_EQ(weight_decay(110, o), 0);
  EXPECT_EQ(weight_decay(999, o), 0);
  o.weight_decay_schedule = "cosine";
  EXPECT_DOUBLE_EQ(weight_decay(55, o), 0.2);
  EXPECT_NEAR(weight_decay(110, o), 0, 1e-17);
}

}  // namespace
}  // namespace folio
