#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/cuda/cuda_backend.h"
#include "tests/emulated_backend.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(CudaRecorder, TakesNothingFromTheHostAndGivesItNothing) {
  const Device device = emulated_device();
  Array x = full({4}, 1, DType::f32, device);
  const auto record = [&](std::function<void()> calls) {
    return [=] { backend(device)->recorder.record(calls); };
  };
  EXPECT_THAT(record([&] { full({4}, 2, DType::f32, device); }),
              testing::Not(testing::Throws<Error>()));
  EXPECT_THAT(record([&] {
                to_array(std::vector<float>{1, 2}, {2}, device);
              }),
              ThrowsMessage<Error>(HasSubstr("takes nothing from the host")));
  EXPECT_THAT(record([&] { to_vector<float>(x); }),
              ThrowsMessage<Error>(HasSubstr("gives the host nothing")));
  EXPECT_THAT(record(record([] {})), ThrowsMessage<Error>(HasSubstr("part of no other")));
  // It is over, whatever went wrong.
  EXPECT_EQ(to_vector<float>(full({2}, 3, DType::f32, device)), (std::vector<float>{3, 3}));
}

TEST(CudaRecorder, ARecordingThatFailsLeavesTheStreamAsItWas) {
  const Device device = emulated_device();
  int calls = 0;
  EXPECT_THAT(
      [&] {
        backend(device)->recorder.record([&] {
          full({4}, 1, DType::f32, device);
          check(++calls < 2, "the second call fails");
        });
      },
      ThrowsMessage<Error>(HasSubstr("the second call fails")));
  EXPECT_EQ(to_vector<float>(full({2}, 3, DType::f32, device)), (std::vector<float>{3, 3}));
}

}  // namespace
}  // namespace folio
