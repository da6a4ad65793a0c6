// Weights in bf16, int8 and int4: on every SIMD target, with the processor's dot-product
// instructions and without.
#include <gtest/gtest.h>

#include "core/cpu/dot_kernels.h"
#include "core/parallel.h"
#include "tests/core/arrays.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

constexpr WeightFormat narrow[] = {WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4};

Array normal(Shape shape, unsigned seed) {
  return array_of(normal_values(shape.size(), seed), shape, DType::f32);
}

// x [M, K] times the weights that unpack_rows gives back: what is left is the rounding of x, half a
// step of its block's largest / 127 (or 2^-8 of each element under bf16), and that of the sums.
TEST(WeightFormat, MultipliesByTheWeightsThatItKeeps) {
  on_every_path([] {
    for (const WeightFormat format : narrow) {
      for (const int64_t M : {1, 5, 12, 13, 50, 70}) {
        for (const auto& [N, K] : std::initializer_list<std::pair<int64_t, int64_t>>{
                 {1, 1}, {33, 31}, {65, 100}, {32, 768}}) {
          const Array x = normal({M, K}, 1), w = normal({N, K}, 2);
          const PackedWeight packed = test_backend()->packed.pack(w, format);
          std::vector<int32_t> all;
          for (int64_t n = 0; n < N; ++n) all.push_back(int32_t(n));
          const auto ws = values_of(test_backend()->packed.unpack_rows(packed, to_array(all, {N}))),
                     xs = values_of(x);
          const auto y = values_of(test_backend()->packed.linear(x, packed, {}));
          for (int64_t i = 0; i < M; ++i) {
            std::vector<double> step(static_cast<size_t>(K));  // of the rounding of x
            for (int64_t k = 0; k < K; k += 32) {
              const int64_t end = std::min(K, k + 32);
              double largest = 0;
              for (int64_t j = k; j < end; ++j)
                largest = std::max(largest, std::abs(xs[size_t(i * K + j)]));
              for (int64_t j = k; j < end; ++j)
                step[size_t(j)] = format == WeightFormat::bf16
                                      ? std::abs(xs[size_t(i * K + j)]) / 128
                                      : largest / 127 * 1.001;
            }
            for (int64_t n = 0; n < N; ++n) {
              double sum = 0, bound = 0;
              for (int64_t k = 0; k < K; ++k) {
                const double a = xs[size_t(i * K + k)], b = ws[size_t(n * K + k)];
                sum += a * b;
                bound += std::abs(b) * (step[size_t(k)] / 2 + 1e-5 * std::abs(a));
              }
              ASSERT_NEAR(y[size_t(i * N + n)], sum, bound)
                  << name_of(format) << ' ' << M << " x " << N << " x " << K;
            }
          }
        }
      }
    }
  });
}

// Errors of a block's weights: half a step of the largest / 127 (and the scale's rounding up) in
// int8; in int4, at most 8 % of the norm of Gaussian weights, where equal steps have 8.1 %.
TEST(WeightFormat, KeepsWeightsClosely) {
  on_every_target([] {
    const Array w = normal({64, 320}, 3);
    std::vector<int32_t> all;
    for (int32_t n = 0; n < 64; ++n) all.push_back(n);
    const auto kept = [&](WeightFormat format) {
      return values_of(test_backend()->packed.unpack_rows(test_backend()->packed.pack(w, format),
                                                          to_array(all, {64})));
    };
    const auto ws = values_of(w), int8 = kept(WeightFormat::int8), int4 = kept(WeightFormat::int4);
    double error = 0, norm = 0;
    for (size_t b = 0; b < ws.size(); b += 32) {
      double largest = 0;
      for (size_t k = b; k < b + 32; ++k) largest = std::max(largest, std::abs(ws[k]));
      for (size_t k = b; k < b + 32; ++k) {
        ASSERT_NEAR(int8[k], ws[k], largest / 127 * 1.008 / 2) << k;
        error += (int4[k] - ws[k]) * (int4[k] - ws[k]);
        norm += ws[k] * ws[k];
      }
    }
    EXPECT_LT(std::sqrt(error / norm), 0.08);
  });
}

TEST(WeightFormat, QuantisedBytesAndProductsAreTheSameOnEveryPath) {
  const Array x = normal({45, 300}, 4), w = normal({70, 300}, 5);
  for (const WeightFormat format : {WeightFormat::int8, WeightFormat::int4}) {
    const auto bytes = bytes_of(test_backend()->packed.pack(w, format).data);
    on_every_target(
        [&] { EXPECT_TRUE(bytes_of(test_backend()->packed.pack(w, format).data) == bytes); });
    const PackedWeight packed = test_backend()->packed.pack(w, format);
    use_tiles(UseTiles::off);
    use_dot_kernels(false);
    const auto portable = bytes_of(test_backend()->packed.linear(x, packed, {}));
    use_dot_kernels(true);
    with_and_without_tiles([&] {
      EXPECT_TRUE(bytes_of(test_backend()->packed.linear(x, packed, {})) == portable)
          << name_of(format);
    });
  }
}

// packed_layout 1 as packed_blocks.h describes it, written out by hand: files hold it. The weight
// of row n at k is scale(n, block) * (u(n, k) - 128).
TEST(WeightFormat, LayoutOneIsAsDescribed) {
  ASSERT_EQ(packed_layout, 1) << "a new layout: describe it here";
  constexpr int int4_values[] = {-127, -100, -79, -62, -47, -34, -21, -9,
                                 2,    13,   25,  36,  50,  65,  83,  107};
  constexpr int64_t N = 33, K = 40;  // two panels of two records, both cut short
  const auto u = [](int64_t n, int64_t k) { return int((n * 7 + k * 5 + n * k) % 256); };
  const auto scale = [](int64_t n, int64_t b) { return bfloat16(0.25f * float(n + 1) + float(b)); };
  const auto packed = [&](WeightFormat format) {
    const int64_t weights = format == WeightFormat::int8 ? 1024 : 512, record = weights + 64;
    std::vector<int8_t> bytes(size_t(2 * 2 * record));
    for (int64_t n = 0; n < N; ++n) {
      for (int64_t k = 0; k < K; ++k) {
        const int64_t at = (n / 32 * 2 + k / 32) * record, r = n % 32, i = k % 32;
        const bfloat16 s = scale(n, k / 32);
        bytes[size_t(at + weights + 2 * r)] = int8_t(s.bits & 255);
        bytes[size_t(at + weights + 2 * r + 1)] = int8_t(s.bits >> 8);
        if (format == WeightFormat::int8) {
          bytes[size_t(at + i / 4 * 128 + r * 4 + i % 4)] = int8_t(u(n, k));
        } else {
          int8_t& two = bytes[size_t(at + i / 8 * 128 + r * 4 + i % 4)];
          two = int8_t(two | (u(n, k) % 16) << (i % 8 < 4 ? 0 : 4));
        }
      }
    }
    return test_backend()->packed.from_data(to_array(bytes, {2, 2, record}), N, K, format);
  };
  std::vector<int32_t> all;
  for (int32_t n = 0; n < N; ++n) all.push_back(n);
  for (const WeightFormat format : {WeightFormat::int8, WeightFormat::int4}) {
    const PackedWeight w = packed(format);
    on_every_target([&] {
      const auto got = values_of(test_backend()->packed.unpack_rows(w, to_array(all, {N})));
      for (int64_t n = 0; n < N; ++n) {
        for (int64_t k = 0; k < K; ++k) {
          const int level =
              format == WeightFormat::int8 ? u(n, k) - 128 : int4_values[u(n, k) % 16];
          ASSERT_EQ(got[size_t(n * K + k)], double(float(scale(n, k / 32)) * float(level)))
              << name_of(format) << ' ' << n << ' ' << k;
        }
      }
    });
  }
}

TEST(WeightFormat, DataOfAnotherSizeIsAnError) {
  const auto error = [&](Shape shape, DType dtype, int64_t N, int64_t K, WeightFormat format) {
    return message_of([&] {
      test_backend()->packed.from_data(Array(shape, dtype, test_device()), N, K, format);
    });
  };
  constexpr WeightFormat int8 = WeightFormat::int8, int4 = WeightFormat::int4;
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_NE(error({2, 2, 1088}, DType::i8, 32, 40, int8), "");
  EXPECT_NE(error({2, 2, 1088}, DType::i8, 33, 40, int4), "");
  EXPECT_NE(error({2, 2, 1088}, DType::i32, 33, 40, int8), "");
  EXPECT_NE(error({2, 4, 544}, DType::i8, 33, 40, int8), "");
  EXPECT_NE(error({2, 2, 1088}, DType::i8, most, most, int8), "");
  EXPECT_NE(error({2, 2, 1088}, DType::i8, 33, 40, WeightFormat::bf16), "");
}

TEST(WeightFormat, Bfloat16MatricesPackToTheSameBytes) {
  on_every_target([] {
    const Array w = normal({70, 301}, 9);
    const auto bytes = bytes_of(test_backend()->packed.pack(w, WeightFormat::bf16).data);
    const Array rounded = test_backend()->elementwise.cast(w, DType::bf16);
    EXPECT_TRUE(bytes_of(test_backend()->packed.pack(rounded, WeightFormat::bf16).data) == bytes);
    EXPECT_NE(message_of([&] { test_backend()->packed.pack(rounded, WeightFormat::int8); }), "");
  });
}

TEST(WeightFormat, RowsAreTheSameBitsInAnyBatch) {
  constexpr int64_t most = 257;
  on_every_path([] {
    // A GPU's kernels read x in other ways in bf16.
    for (const DType dtype :
         test_device_is_cpu() ? std::vector{DType::f32} : std::vector{DType::f32, DType::bf16}) {
      const Array x = array_of(normal_values(most * 200, 6), {most, 200}, dtype);
      const Array bias = normal({100}, 7);
      for (const WeightFormat format : narrow) {
        const PackedWeight w = test_backend()->packed.pack(normal({100, 200}, 8), format);
        set_parallel_threads(1);
        std::vector<char> alone;
        for (int64_t i = 0; i < most; ++i) {
          const auto row =
              bytes_of(test_backend()->packed.linear(x.slice(i, i + 1), w, bias, gelu_tanh_op));
          alone.insert(alone.end(), row.begin(), row.end());
        }
        for (const int threads : thread_counts()) {
          set_parallel_threads(threads);
          for (int64_t M : {1, 2, 7, 8, 9, 10, 12, 13, 16, 17, 25, 33, 63, 64, 65, 128, 257}) {
            const auto rows = bytes_of(
                test_backend()->packed.linear(x.slice(most - M, most), w, bias, gelu_tanh_op));
            ASSERT_TRUE(std::equal(rows.begin(), rows.end(), alone.end() - long(rows.size())))
                << name_of(format) << ", " << M << " rows in " << fmt::format("{}", dtype) << ", "
                << threads << " threads";
          }
        }
        set_parallel_threads(0);
      }
    }
  });
}

}  // namespace
}  // namespace folio
