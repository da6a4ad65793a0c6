#include <gmock/gmock.h>

#include <thread>

#include "core/backend.h"
#include "tests/device.h"
#include "tests/guarded_backend.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Array guarded(const std::vector<float>& values) {
  return to_array(values, {int64_t(values.size())}, guarded_device());
}

TEST(GuardedDevice, IsADeviceOfItsOwn) {
  EXPECT_EQ(name_of(guarded_device()), "guarded");
  EXPECT_EQ(device_named("guarded"), guarded_device());
  EXPECT_NE(guarded_device(), cpu);
  EXPECT_THAT(device_names(), testing::Contains("guarded"));
}

TEST(GuardedDevice, ComputesWhatTheCpuDoes) {
  Array x = to_array(std::vector<float>{1, -2, 3, 0.5f, 0, 4}, {2, 3}, guarded_device());
  Array w = to_array(std::vector<float>{2, 1, -1, 0, 3, 1}, {2, 3}, guarded_device());
  Array pre, pre_of_cpu;
  Array y = backend(x)->products.linear(x, w, {}, gelu_erf_op, &pre);
  Array expected =
      backend(cpu)->products.linear(to(x, cpu), to(w, cpu), {}, gelu_erf_op, &pre_of_cpu);
  EXPECT_EQ(y.device(), guarded_device());
  EXPECT_EQ(to_vector<float>(y), to_vector<float>(expected));
  EXPECT_EQ(to_vector<float>(pre), to_vector<float>(pre_of_cpu));
  backend(x)->elementwise.scale(x, 2);
  EXPECT_EQ(to_vector<float>(x), (std::vector<float>{2, -4, 6, 1, 0, 8}));
}

TEST(GuardedDevice, RefusesAnArrayOfAnotherDevice) {
  Array x = guarded({1, 2});
  EXPECT_THAT(message_of([&] { backend(x)->elementwise.add(x, to(x, cpu)); }),
              AllOf(HasSubstr("guarded"), HasSubstr("of cpu")));
}

// Where x lies, as an operation of its device sees it.
float* place_of(const Array& x) {
  const RunningOn running(x.device());
  return x.data<float>();
}

// Sanitizers end the program by themselves, so any death will do.
TEST(GuardedDeviceDeathTest, ALookAtAnArraysMemoryEndsTheProgram) {
  Array x = guarded({1, 2, 3});
  float* kept = place_of(x);
  auto look = [&] {
    volatile float seen = kept[1];
    static_cast<void>(seen);
  };
  EXPECT_DEATH(look(), "");
  EXPECT_DEATH(kept[1] = 5, "");
  EXPECT_EQ(to_vector<float>(x), (std::vector<float>{1, 2, 3}));
  EXPECT_DEATH(look(), "");  // an operation has opened the memory and closed it
  EXPECT_THROW(backend(x)->elementwise.cast(x, DType::i32), Error);
  EXPECT_DEATH(look(), "");  // and one that threw
}

TEST(GuardedDeviceDeathTest, IsClosedOnceNoThreadCallsIt) {
  Array x = guarded(std::vector<float>(1000, 1));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        EXPECT_EQ(to_vector<float>(backend(x)->elementwise.add(x, x))[999], 2);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_DEATH(*place_of(x) = 5, "");
}

}  // namespace
}  // namespace folio
