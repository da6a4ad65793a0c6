#pragma once
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/backend.h"
#include "core/cpu/dot_kernels.h"
#include "core/cpu/tiles/tile_unit.h"
#include "core/parallel.h"
#include "tests/device.h"

namespace folio {

// Arrays from doubles and back, whatever the dtype, for tests against references in f64.

inline std::vector<double> normal_values(int64_t size, unsigned seed, double scale = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<double> values(static_cast<size_t>(size));
  for (double& value : values) value = normal(generator);
  return values;
}

inline Array array_of(const std::vector<double>& values, Shape shape, DType dtype) {
  if (dtype == DType::f64) return to_array(values, shape);
  std::vector<float> single(values.begin(), values.end());
  if (dtype == DType::f32) return to_array(single, shape);
  std::vector<bfloat16> half;
  for (float value : single) half.push_back(bfloat16(value));
  return to_array(half, shape);
}

// First positions of sequences, as a Backend wants them; undefined for none.
inline Array positions_of(const std::vector<int64_t>& positions) {
  if (positions.empty()) return {};
  std::vector<int32_t> narrow(positions.begin(), positions.end());
  return to_array(narrow, {int64_t(narrow.size())});
}

inline std::vector<double> values_of(const Array& x) {
  auto widen = [](const auto& values) { return std::vector<double>(values.begin(), values.end()); };
  if (x.dtype() == DType::bf16) return widen(to_vector<bfloat16>(x));
  return x.dtype() == DType::f32 ? widen(to_vector<float>(x)) : to_vector<double>(x);
}

inline std::vector<char> bytes_of(const Array& x) {
  std::vector<char> bytes(x.bytes());
  backend(x)->memory.read(x, bytes.data());
  return bytes;
}

inline std::vector<double> multiplied(std::vector<double> values, double factor) {
  for (double& value : values) value *= factor;
  return values;
}

// The error of rounding to `dtype`, relative.
inline double epsilon_of(DType dtype) {
  return dtype == DType::f64 ? 1e-14 : dtype == DType::f32 ? 1e-6 : 4.0e-3;
}

// |actual - expected| <= tolerance (1 + |expected|), for every element.
inline void expect_near(const Array& actual, const std::vector<double>& expected,
                        double tolerance) {
  auto values = values_of(actual);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_NEAR(values[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << "element " << i;
}

// Numbers of threads among which a product may give other bits; one on a device that is no CPU.
inline std::vector<int> thread_counts() {
  return test_device_is_cpu() ? std::vector<int>{1, 2, 3} : std::vector<int>{1};
}

// make() gives a vector of Arrays: the same bits with 1, 2 and 3 threads.
template <class F>
void expect_same_for_any_threads(F&& make) {
  const int before = parallel_threads();
  std::vector<std::vector<char>> first;
  for (int threads : {1, 2, 3}) {
    set_parallel_threads(threads);
    std::vector<std::vector<char>> bytes;
    for (const Array& array : make()) bytes.push_back(bytes_of(array));
    if (threads == 1) first = bytes;
    EXPECT_TRUE(bytes == first) << threads << " threads give other bits than one";
  }
  set_parallel_threads(before);
}

// Runs check() on each SIMD target that both the build and this processor have; once on a device
// that is no CPU.
template <class F>
void on_every_target(F&& check) {
  if (!test_device_is_cpu()) return check();
  auto choose = [](int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  };
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    choose(target);
    check();
  }
  choose(0);
}

// Runs check() with products on each matrix unit that is there, the portable one included, and
// without any; once on a device that is no CPU.
template <class F>
void with_and_without_tiles(F&& check) {
  if (!test_device_is_cpu()) return check();
  for (const UseTiles use : {UseTiles::off, UseTiles::portable, UseTiles::hardware}) {
    if (use == UseTiles::hardware && !has_hardware_tiles()) continue;
    SCOPED_TRACE(use == UseTiles::off        ? "no tiles"
                 : use == UseTiles::portable ? "portable tiles"
                                             : "hardware tiles");
    use_tiles(use);
    check();
  }
  use_tiles(UseTiles::hardware);
}

// On each target with matrix units, and without them with the processor's dot-product instructions
// and without.
template <class F>
void on_every_path(F&& check) {
  if (!test_device_is_cpu()) return check();
  on_every_target([&] {
    with_and_without_tiles(check);
    use_tiles(UseTiles::off);
    use_dot_kernels(false);
    SCOPED_TRACE("no dot products");
    check();
    use_dot_kernels(true);
    use_tiles(UseTiles::hardware);
  });
}

inline const std::vector<DType> float_dtypes = {DType::f64, DType::f32, DType::bf16};

}  // namespace folio
