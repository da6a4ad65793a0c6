#include "core/array.h"

#include <gmock/gmock.h>

#include <cstring>
#include <functional>

#include "tests/core/arrays.h"
#include "tests/device.h"
#include "tests/guarded_backend.h"
#include "tests/message.h"

namespace folio {
namespace {

std::vector<float> iota(int n) {
  std::vector<float> values;
  for (int i = 0; i < n; ++i) values.push_back(float(i));
  return values;
}

TEST(Array, KnowsItsShapeAndBytes) {
  Array x({2, 3, 4}, DType::bf16, test_device());
  EXPECT_EQ(x.size(), 24);
  EXPECT_EQ(x.rows(), 6);
  EXPECT_EQ(x.dim(-1), 4);
  EXPECT_EQ(x.dim(0), 2);
  EXPECT_EQ(x.bytes(), 48u);
  EXPECT_EQ(x.device(), test_device());
  EXPECT_TRUE(x.defined());
  EXPECT_FALSE(Array().defined());
}

TEST(Array, ScalarsAndEmptyArrays) {
  EXPECT_EQ(Array({}, DType::f32, test_device()).size(), 1);
  Array empty({0, 5}, DType::f32, test_device());
  EXPECT_EQ(empty.size(), 0);
  EXPECT_EQ(to_vector<float>(empty).size(), 0u);
  EXPECT_EQ(empty.slice(0, 0).shape(), (Shape{0, 5}));
}

TEST(Array, ViewsShareStorage) {
  Array x = to_array(iota(12), {4, 3});
  Array middle = x.slice(1, 3), flat = middle.reshape({6});
  EXPECT_EQ(to_vector<float>(flat), (std::vector<float>{3, 4, 5, 6, 7, 8}));
  EXPECT_TRUE(flat.shares_storage_with(x));
  EXPECT_FALSE(x.sole_owner());
  backend(flat)->elementwise.fill(flat, -1);
  EXPECT_EQ(to_vector<float>(x), (std::vector<float>{0, 1, 2, -1, -1, -1, -1, -1, -1, 9, 10, 11}));
  EXPECT_EQ(to_vector<float>(middle.slice(1, 2)), (std::vector<float>{-1, -1, -1}));
  middle = flat = {};
  EXPECT_TRUE(x.sole_owner());
}

TEST(Array, SliceOfASliceCountsFromTheSlice) {
  Array x = to_array(iota(10), {10});
  EXPECT_EQ(to_vector<float>(x.slice(2, 9).slice(3, 5)), (std::vector<float>{5, 6}));
}

TEST(Array, RejectsWhatDoesNotFit) {
  Array x({4, 3}, DType::f32, test_device());
  EXPECT_THAT(message_of([&] {
                x.reshape({5, 2});
              }),
              testing::AllOf(testing::HasSubstr("[4, 3]"), testing::HasSubstr("[5, 2]")));
  EXPECT_THAT(message_of([&] { x.slice(2, 5); }), testing::HasSubstr("[2, 5)"));
  EXPECT_THROW(x.slice(-1, 2), Error);
  EXPECT_THROW(x.slice(3, 2), Error);
  EXPECT_THROW(x.dim(2), Error);
  EXPECT_THROW(x.dim(-3), Error);
  EXPECT_THAT(message_of([&] { x.data<bfloat16>(); }),
              testing::AllOf(testing::HasSubstr("float32"), testing::HasSubstr("bfloat16")));
  EXPECT_THROW(to_array(iota(3), {4}), Error);
  EXPECT_THROW(to_vector<double>(x), Error);
  EXPECT_THROW(item(x), Error);
}

TEST(Array, HasAnAddressForItsDevicesOperationsAlone) {
  Array x = to_array(iota(4), {4});
  EXPECT_THAT(message_of([&] { x.data<float>(); }),
              testing::AllOf(testing::HasSubstr("float32 [4] of " + name_of(test_device())),
                             testing::HasSubstr("memory.read")));
  EXPECT_THAT(message_of([] { Array().address(); }), testing::HasSubstr("without values"));
  const RunningOn running(test_device());
  EXPECT_NE(x.address(), nullptr);
  {
    const RunningOn elsewhere(Device(Device::Type::cuda, 7));
    EXPECT_THAT(message_of([&] { x.address(); }), testing::HasSubstr("operation of cuda:7"));
  }
  EXPECT_NE(x.address(), nullptr);
}

// Before any memory is touched, and never by wrapping around.
TEST(Array, SizesThatOverflowAreErrors) {
  for (Shape shape :
       {Shape{INT64_MAX}, Shape{INT64_MAX / 4, 2}, Shape{int64_t{1} << 32, int64_t{1} << 32},
        Shape{int64_t{1} << 61, 2}, Shape{int64_t{1} << 62}})
    EXPECT_NE(error_of([&] { Array(shape, DType::f32, test_device()); }), "")
        << fmt::format("{}", shape);
  EXPECT_THAT(message_of([] { Array({int64_t{1} << 61}, DType::f64, test_device()); }),
              testing::HasSubstr("more bytes than can be counted"));
  EXPECT_NE(error_of([] { Array::shape_only({int64_t{1} << 61}, DType::f64).bytes(); }), "");
  EXPECT_NE(error_of([] { Shape{int64_t{1} << 32, int64_t{1} << 32, 1}.rows(); }), "");
}

TEST(Array, ValuesGoInAndOut) {
  Array x = to_array(std::vector<int32_t>{1, -2, 3}, {3});
  EXPECT_EQ(x.dtype(), DType::i32);
  EXPECT_EQ(to_vector<int32_t>(x), (std::vector<int32_t>{1, -2, 3}));
  for (DType dtype : float_dtypes) EXPECT_EQ(item(array_of({2.5}, {}, dtype)), 2.5);
  EXPECT_EQ(values_of(zeros({3}, DType::bf16)), std::vector<double>(3, 0));
}

// What is known of integers from the host, of which a view knows as much.
TEST(IdRange, IsThatOfTheHostsValues) {
  auto range = [](const Array& ids) {
    return std::pair(ids.id_range().value().least, ids.id_range().value().below);
  };
  Array ids = to_array(std::vector<int32_t>{4, -1, 7, 0}, {4});
  EXPECT_EQ(range(ids), std::pair(int64_t{-1}, int64_t{8}));
  EXPECT_EQ(range(ids.slice(0, 1).reshape({1, 1})), range(ids));
  EXPECT_EQ(range(to(ids, cpu)), range(ids));
  EXPECT_EQ(range(full({2}, 3, DType::i32, test_device())), std::pair(int64_t{3}, int64_t{4}));
  EXPECT_EQ(range(to_array(std::vector<int32_t>{INT32_MAX}, {1})).second, int64_t{1} << 31);
  EXPECT_TRUE(to_array(std::vector<int32_t>{}, {0}).id_range().has_value());
  EXPECT_FALSE(empty({2}, DType::i32).id_range().has_value());
  EXPECT_FALSE(zeros({2}, DType::f32).id_range().has_value());
  EXPECT_FALSE(Array().id_range().has_value());
  EXPECT_THROW(zeros({2}, DType::f32).set_id_range({0, 1}), Error);
}

TEST(IdRange, IsForgottenByAnyWriteThroughAnyView) {
  const std::vector<int32_t> values{4, 1};
  const std::function<void(Array&)> writes[] = {
      [&](Array& x) { backend(x)->memory.write(values.data(), x); },
      [&](Array& x) {
        backend(x)->memory.write([&](void* host) { std::memcpy(host, values.data(), x.bytes()); },
                                 x);
      },
      [](Array& x) { backend(x)->elementwise.fill(x, 9); },
      [](Array& x) {
        backend(x)->layout.copy_block(to_array(std::vector{5}, {1}), 0, x, 0, 1, 0);
      }};
  for (const auto& write : writes) {
    Array ids = to_array(std::vector<int32_t>{0, 1, 2, 3}, {4}), part = ids.slice(1, 3);
    write(part);
    EXPECT_FALSE(ids.id_range().has_value());
  }
}

TEST(TokenIds, AreHeldToTheVocabulary) {
  auto make = [](int32_t id) {
    return token_ids(std::vector<int32_t>{0, 1, 2, 3, id, 5}, {2, 3}, 7, test_device(), "a.bin");
  };
  EXPECT_EQ(to_vector<int32_t>(make(6)), (std::vector<int32_t>{0, 1, 2, 3, 6, 5}));
  EXPECT_EQ(make(6).device(), test_device());
  for (int32_t bad : {7, -1, 50257})
    EXPECT_THAT(message_of([&] { make(bad); }),
                testing::AllOf(testing::StartsWith(fmt::format("a.bin: token {} at [1, 1]", bad)),
                               testing::HasSubstr("[0, 7)")));
}

TEST(TargetIds, MayBeMinusOne) {
  auto make = [](int32_t id) {
    return target_ids(std::vector<int32_t>{0, 4, id}, {3}, 5, test_device(), "a.bin");
  };
  EXPECT_EQ(to_vector<int32_t>(make(-1)), (std::vector<int32_t>{0, 4, -1}));
  for (int32_t bad : {5, -2})
    EXPECT_THAT(message_of([&] { make(bad); }),
                testing::HasSubstr(fmt::format("target {} at position 2", bad)));
}

TEST(Shape, HoldsUpToSixDimensions) {
  EXPECT_EQ(Shape().size(), 1);
  EXPECT_EQ((Shape{2, 3}).rows(), 2);
  EXPECT_EQ(fmt::format("{}", Shape{64, 256, 384}), "[64, 256, 384]");
  EXPECT_EQ(fmt::format("{}", Shape{}), "[]");
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1}), Error);
}

TEST(DType, NamesRoundTrip) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::i32})
    EXPECT_EQ(dtype_named(name_of(dtype)), dtype);
  EXPECT_THAT(message_of([] { dtype_named("float16"); }),
              testing::AllOf(testing::HasSubstr("float16"), testing::HasSubstr("bfloat16")));
}

TEST(Array, IsCopiedBetweenDevices) {
  Array x = to_array(iota(6), {2, 3});
  EXPECT_TRUE(to(x, test_device()).shares_storage_with(x));
  for (Device device : {cpu, guarded_device()}) {
    Array copy = to(x, device);
    EXPECT_EQ(copy.device(), device);
    EXPECT_EQ(copy.shape(), x.shape());
    EXPECT_EQ(to_vector<float>(copy), iota(6));
    EXPECT_EQ(to_vector<float>(to(copy, cpu)), iota(6));
  }
  EXPECT_THAT(message_of([] { Array::shape_only({2}, DType::f32).device(); }),
              testing::HasSubstr("on no device"));
}

// Of a mapped file, say.
TEST(Array, OverReadOnlyMemoryIsNotWrittenTo) {
  std::vector<float> memory{1, 2};
  Array x(std::make_shared<Storage>(Storage{
              .data = memory.data(), .bytes = sizeof(float) * 2, .device = cpu, .read_only = true}),
          {2}, DType::f32);
  Array own = backend(cpu)->elementwise.cast(x, DType::f32),
        grad = backend(cpu)->elementwise.cast(x, DType::f32), m = grad, v = grad;
  std::vector<AdamWSlot> slots{{x, grad, m, v}};
  EXPECT_THAT(message_of([&] { backend(cpu)->elementwise.fill(x, 5); }),
              testing::AllOf(testing::HasSubstr("fill: "), testing::HasSubstr("mapped file")));
  EXPECT_THROW(backend(cpu)->memory.write(memory.data(), x), Error);
  EXPECT_THROW(backend(cpu)->memory.write([](void*) {}, x), Error);
  EXPECT_THROW(backend(cpu)->random.normal(x, 0, 1, {}), Error);
  EXPECT_THROW(backend(cpu)->elementwise.accumulate(x, own), Error);
  EXPECT_THROW(backend(cpu)->elementwise.scale(x, 2), Error);
  EXPECT_THROW(backend(cpu)->layout.copy_block(own, 0, x, 0, 1, 0), Error);
  EXPECT_THROW(backend(cpu)->optimizer.adamw(slots, {}), Error);
  EXPECT_EQ(memory, (std::vector<float>{1, 2}));
}

TEST(Device, OnlyTheCpuIsThere) {
  EXPECT_EQ(device_named("cpu"), cpu);
  EXPECT_THAT(message_of([] { device_named("tpu"); }), testing::HasSubstr("\"tpu\""));
  EXPECT_THAT(message_of([] { device_named("cuda"); }),
              testing::HasSubstr("cmake -DFOLIO_CUDA=ON"));
}

}  // namespace
}  // namespace folio
