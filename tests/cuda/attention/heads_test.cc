// Heads that share keys, and windows, on the emulated device in several orders of its threads.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/backend.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"
#include "tests/emulated_backend.h"

namespace folio {
namespace {

using Values = std::vector<double>;

Array array_of(const Values& values, const Shape& shape, DType dtype) {
  const Array x = to_array(values, shape, emulated_device());
  return backend(x)->elementwise.cast(x, dtype);
}
Values values_of(const Array& x) {
  return to_vector<double>(backend(x)->elementwise.cast(x, DType::f64));
}
Array positions_of(const std::vector<int32_t>& positions) {
  return to_array(positions, {int64_t(positions.size())}, emulated_device());
}

struct Expected {
  Values y, dqkv;
};

// Attention and its gradient over qkv [1, T, heads.columns()] with the whole [T, T] matrix.
Expected reference(const Heads& heads, int64_t T, const Values& qkv, const Values& dy,
                   const Dropout& dropout) {
  const int64_t D = heads.width, C = heads.channels();
  Expected out{Values(dy.size()), Values(qkv.size())};
  for (int64_t h = 0; h < heads.n_head; ++h) {
    auto place = [&](int64_t part, int64_t t) {
      const int64_t key = heads.n_head + (part - 1) * heads.n_kv_head + h / heads.shared();
      return size_t(t * heads.columns() + (part == 0 ? h : key) * D);
    };
    for (int64_t i = 0; i < T; ++i) {
      const size_t row = size_t(i * C + h * D);
      const int64_t first = heads.first_seen(i);
      Values p(size_t(i + 1)), factor(size_t(i + 1)), dp(size_t(i + 1));
      double sum = 0, delta = 0;
      for (int64_t j = first; j <= i; ++j) {
        double score = 0;
        for (size_t c = 0; c < size_t(D); ++c) score += qkv[place(0, i) + c] * qkv[place(1, j) + c];
        sum += p[size_t(j)] = std::exp(score / std::sqrt(double(D)));
        const bool keeps = !dropout.enabled() || dropout.keeps(uint64_t((h * T + i) * T + j));
        factor[size_t(j)] = keeps ? dropout.scale() : 0;
      }
      for (auto j = size_t(first); j <= size_t(i); ++j) {
        p[j] /= sum;
        for (size_t c = 0; c < size_t(D); ++c) {
          const size_t value = place(2, int64_t(j)) + c;
          out.y[row + c] += p[j] * factor[j] * qkv[value];
          out.dqkv[value] += p[j] * factor[j] * dy[row + c];
          dp[j] += factor[j] * dy[row + c] * qkv[value];
        }
        delta += p[j] * dp[j];
      }
      for (auto j = size_t(first); j <= size_t(i); ++j) {
        const double ds = p[j] * (dp[j] - delta) / std::sqrt(double(D));
        for (size_t c = 0; c < size_t(D); ++c) {
          out.dqkv[place(0, i) + c] += ds * qkv[place(1, int64_t(j)) + c];
          out.dqkv[place(1, int64_t(j)) + c] += ds * qkv[place(0, i) + c];
        }
      }
    }
  }
  return out;
}

class CudaHeads : public testing::TestWithParam<Heads> {};
// Widths of tensor cores and of plain loops; windows of one position, within a tile of 64, of a
// whole one and of more; one head of keys for all, and for two.
INSTANTIATE_TEST_SUITE_P(All, CudaHeads,
                         testing::Values(Heads{4, 1, 32, 0}, Heads{4, 2, 24, 70},
                                         Heads{2, 2, 32, 1}, Heads{3, 1, 96, 64},
                                         Heads{4, 2, 20, 33}, Heads{2, 1, 20, 1}),
                         [](const auto& info) {
                           const Heads& h = info.param;
                           return fmt::format("H{}_KV{}_D{}_W{}", h.n_head, h.n_kv_head, h.width,
                                              h.window);
                         });

TEST_P(CudaHeads, MatchTheWholeMatrix) {
  const Heads heads = GetParam();
  const int64_t T = with_tsan ? 70 : 135;
  const Values some = normal<double>(size_t(T * heads.columns()), 1),
               slopes = normal<double>(size_t(T * heads.channels()), 2);
  for (double p : {0.0, 0.3}) {
    const auto dropout = Dropout::with(p, RandomStream{0x1234567890abcdefu, 77});
    for (auto [dtype, tolerance, grad_tolerance] : {std::tuple{DType::f64, 1e-12, 1e-12},
                                                    {DType::f32, 4e-6, 4e-5},
                                                    {DType::bf16, 8e-3, 4e-2}}) {
      if (dtype == DType::f64 && (with_tsan || p > 0)) continue;
      SCOPED_TRACE(fmt::format("{}, dropout {}", dtype, p));
      const Array qkv = array_of(some, {1, T, heads.columns()}, dtype);
      const Array dy = array_of(slopes, {1, T, heads.channels()}, dtype);
      const Expected expected = reference(heads, T, values_of(qkv), values_of(dy), dropout);
      Values first;
      auto run = [&, tolerance = tolerance, grad_tolerance = grad_tolerance] {
        const Attended forward = backend(qkv)->attention.forward(qkv, heads, dropout);
        const Array dqkv = backend(qkv)->attention.grad(dy, qkv, forward, heads, dropout);
        EXPECT_LE(error_of(values_of(forward.y), expected.y), tolerance);
        EXPECT_LE(error_of(values_of(dqkv), expected.dqkv), grad_tolerance);
        if (first.empty()) first = values_of(dqkv);
        EXPECT_EQ(values_of(dqkv), first);
      };
      p > 0 ? on_every_schedule(run) : run();
    }
  }
}

// What a cache that was asked to hold `room` positions gives for qkv [1, T, ...], in calls of
// `step` tokens.
Values in_calls(const Array& qkv, const Heads& heads, DType kept, int64_t room, int64_t step) {
  KvLayer cache = backend(qkv)->kv_cache.make_layer(1, room, heads, kept);
  const Values all = values_of(qkv);
  const int64_t T = qkv.dim(1), row = qkv.dim(2);
  Values rows;
  for (int64_t at = 0; at < T; at += step) {
    const int64_t n = std::min(step, T - at);
    const Values part(all.begin() + at * row, all.begin() + (at + n) * row);
    const Values y = values_of(backend(qkv)->kv_cache.attention(
        array_of(part, {1, n, row}, qkv.dtype()), heads, cache, positions_of({int32_t(at)})));
    rows.insert(rows.end(), y.begin(), y.end());
  }
  return rows;
}

constexpr std::tuple<DType, DType, double> all_kinds[] = {
    {DType::f64, DType::f64, 1e-12},  {DType::f32, DType::f32, 4e-6},
    {DType::bf16, DType::bf16, 8e-3}, {DType::bf16, DType::f32, 8e-3},
    {DType::f32, DType::i8, 0},       {DType::bf16, DType::i8, 0}};

TEST_P(CudaHeads, OfACacheMatchTheWholeMatrix) {
  if (with_tsan) GTEST_SKIP() << "takes ThreadSanitizer too long";
  const Heads heads = GetParam();
  const int64_t T = 200;
  const Values some = normal<double>(size_t(T * heads.columns()), 3);
  for (auto [dtype, kept, tolerance] : all_kinds) {
    SCOPED_TRACE(fmt::format("{} in {}", dtype, kept));
    const Array qkv = array_of(some, {1, T, heads.columns()}, dtype);
    const Values expected =
        reference(heads, T, values_of(qkv), Values(size_t(T * heads.channels())), {}).y;
    const Values whole = in_calls(qkv, heads, kept, T + heads.window, T);
    if (kept != DType::i8) {
      EXPECT_LE(error_of(whole, expected), tolerance);
    }
    // A ring of the least size, one of more, and calls that are split into chunks or not.
    for (int64_t room : heads.window > 0 ? std::vector<int64_t>{0, 100} : std::vector<int64_t>{T})
      for (int64_t step : {1, 7, 17, 64})
        EXPECT_EQ(in_calls(qkv, heads, kept, room, step), whole)
            << "room " << room << ", calls of " << step;
  }
}

// A ring whose first and last chunk of a call lie in one place, which the call writes to and reads
// from: the same bytes in every order.
TEST(CudaRing, SameBytesInEveryOrder) {
  const Heads heads{4, 2, 32, 65};
  const int64_t T = 16, at = 240, row = heads.columns();
  for (auto [dtype, kept] :
       {std::pair{DType::bf16, DType::bf16}, {DType::bf16, DType::i8}, {DType::f32, DType::f32}}) {
    const Array before = array_of(normal<double>(size_t(at * row), 4), {1, at, row}, dtype);
    const Array next = array_of(normal<double>(size_t(T * row), 5), {1, T, row}, dtype);
    Values first;
    on_every_schedule([&, kept = kept] {
      KvLayer ring = backend(next)->kv_cache.make_layer(1, 0, heads, kept);
      const Values all = values_of(before);
      for (int64_t t = 0; t < at; t += 48)
        backend(next)->kv_cache.attention(
            array_of(Values(all.begin() + t * row, all.begin() + (t + 48) * row), {1, 48, row},
                     next.dtype()),
            heads, ring, positions_of({int32_t(t)}));
      const Values y = values_of(
          backend(next)->kv_cache.attention(next, heads, ring, positions_of({int32_t(at)})));
      if (first.empty()) first = y;
      EXPECT_EQ(y, first);
    });
  }
}

// What a query does not see any more, or what another sequence left, is not even multiplied by 0;
// nor does a copy take the place of what is still seen.
TEST(CudaRing, OldPositionsLeaveNoTrace) {
  const Heads heads{2, 1, 32, 40};
  const int64_t row = heads.columns(), T = 300;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (auto [dtype, kept] :
       {std::pair{DType::bf16, DType::bf16}, {DType::bf16, DType::i8}, {DType::f32, DType::f32}}) {
    Values values = normal<double>(size_t(T * row), 6);
    const Values all = in_calls(array_of(values, {1, T, row}, dtype), heads, kept, T, 50);
    for (int64_t length : {40, 128, 130, 191, 299}) {
      std::fill_n(values.begin(), (length - heads.window + 1) * row, nan);
      KvLayer from = backend(emulated_device())->kv_cache.make_layer(2, 0, heads, kept);
      KvLayer to = backend(emulated_device())->kv_cache.make_layer(3, 200, heads, kept);
      KvLayer second = from.rows(1, 2);
      for (int64_t t = 0; t < length; ++t)
        backend(from.k)->kv_cache.attention(
            array_of(Values(values.begin() + t * row, values.begin() + (t + 1) * row), {1, 1, row},
                     dtype),
            heads, second, positions_of({int32_t(t)}));
      backend(from.k)->kv_cache.copy(from, 1, to, 2, length);
      backend(from.k)->kv_cache.copy(to, 2, from, 0, length);
      const Values now(values.begin() + length * row, values.begin() + (length + 1) * row);
      const Values expected(all.begin() + length * heads.channels(),
                            all.begin() + (length + 1) * heads.channels());
      for (KvLayer sequence : {second, to.rows(2, 3), from.rows(0, 1)})
        EXPECT_EQ(values_of(backend(from.k)->kv_cache.attention(array_of(now, {1, 1, row}, dtype),
                                                                heads, sequence,
                                                                positions_of({int32_t(length)}))),
                  expected)
            << name_of(kept) << ", " << length;
    }
  }
}

// A launch that was recorded goes on from where positions are: into and around the ring.
TEST(CudaRing, ARecordedStepGoesAroundTheRing) {
  const Heads heads{4, 2, 32, 20};
  const int64_t row = heads.columns(), T = 150;
  const Values values = normal<double>(size_t(T * row), 7);
  const Values expected =
      in_calls(array_of(values, {1, T, row}, DType::bf16), heads, DType::bf16, T, 50);
  KvLayer ring = backend(emulated_device())->kv_cache.make_layer(1, 0, heads, DType::bf16);
  const std::vector<bfloat16> narrow(values.begin(), values.end());
  Array step({1, 1, row}, DType::bf16, emulated_device()), positions = positions_of({0});
  Array y;
  positions.set_id_range({0, 1 << 20});
  backend(step)->memory.write(narrow.data(), step);
  const auto recording = backend(step)->recorder.record(
      [&] { y = backend(step)->kv_cache.attention(step, heads, ring, positions); });
  for (int32_t t = 0; t < T; ++t) {
    backend(step)->memory.write(narrow.data() + t * row, step);
    backend(step)->memory.write(&t, positions);
    recording->run();
    const auto at = expected.begin() + t * heads.channels();
    ASSERT_EQ(values_of(y), Values(at, at + heads.channels())) << t;
  }
}

}  // namespace
}  // namespace folio
