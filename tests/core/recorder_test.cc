#include <gtest/gtest.h>

#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

using Values = std::vector<double>;

// y = 2 x^2 + y, through memory that the recorded calls take and give back.
void add_twice_the_square(const Array& x, Array& y) {
  const Array square = test_backend()->elementwise.unary(unary<Square>(), x);
  test_backend()->elementwise.accumulate(y, square);
  test_backend()->elementwise.accumulate(y, square);
}

TEST(Recorder, RunsOnWhatTheArraysHoldThen) {
  Array x = array_of({1, 2, 3}, {3}, DType::f32), y = array_of({0, 0, 0}, {3}, DType::f32);
  auto recording = test_backend()->recorder.record([&] { add_twice_the_square(x, y); });
  auto set = [](Array& to, const std::vector<float>& values) {
    test_backend()->memory.write(values.data(), to);
  };
  set(y, {10, 20, 30});
  recording->run();
  EXPECT_EQ(values_of(y), (Values{12, 28, 48}));
  set(x, {-1, 0, 4});
  recording->run();
  recording->run();
  EXPECT_EQ(values_of(y), (Values{16, 28, 112}));
}

TEST(Recorder, UsesNoMemoryThatOthersHave) {
  Array x = array_of(Values(1000, 3), {1000}, DType::f32), y = zeros({1000}, DType::f32);
  auto recording = test_backend()->recorder.record([&] { add_twice_the_square(x, y); });
  backend(y)->elementwise.fill(y, 0);
  std::vector<Array> others;  // as many as would get what the recorded calls gave back
  for (int i = 0; i < 20; ++i) others.push_back(full({1000}, 7, DType::f32, x.device()));
  recording->run();
  EXPECT_EQ(values_of(y), Values(1000, 18));
  for (const Array& other : others) EXPECT_EQ(values_of(other), Values(1000, 7));
}

TEST(Recorder, RecordingsRunInAnyOrder) {
  Array x = array_of({3}, {1}, DType::f32), y = array_of({0}, {1}, DType::f32);
  auto square = test_backend()->recorder.record([&] { add_twice_the_square(x, y); });
  auto negate = test_backend()->recorder.record([&] { test_backend()->elementwise.scale(y, -2); });
  backend(y)->elementwise.fill(y, 0);
  for (Recording* recording : {square.get(), negate.get(), square.get(), negate.get()})
    recording->run();
  EXPECT_EQ(values_of(y), Values{36});
}

}  // namespace
}  // namespace folio
