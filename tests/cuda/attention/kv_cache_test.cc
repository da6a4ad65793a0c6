#include <gtest/gtest.h>

#include <cstring>

#include "core/backend.h"
#include "core/cuda/kernels/kv_cache/append.h"
#include "core/cuda/kernels/kv_cache/cached_attention.h"
#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"

namespace folio {
namespace {

using cuda::CachedLayer;
using cuda::CachedSizes;
using cuda::chunk_keys;

// A cache in device memory.
template <class S>
struct TestLayer {
  DeviceBuffer<S> k, v;
  DeviceBuffer<float> scales;
  CachedSizes sizes;

  explicit TestLayer(const CachedSizes& s)
      : k(elements(s)), v(elements(s)), scales(rows(s) * 2), sizes(s) {}
  static size_t rows(const CachedSizes& s) {
    return size_t(s.call.B) * size_t(s.call.H) * size_t(s.chunks) * chunk_keys;
  }
  static size_t elements(const CachedSizes& s) {
    return rows(s) * size_t(cuda::cached_width<S>(s.call.D));
  }
  CachedLayer<S> pointers() const { return {k.data(), v.data(), scales.data()}; }
};

// `calls` one after the other, each of so many positions of qkv [B, T, 3C], whose sequence b begins
// at starts[b] -> the results of the last call.
template <class E, class S, class F>
std::vector<E> attend(const std::vector<E>& qkv, TestLayer<S>& layer,
                      std::vector<int32_t> positions, const std::vector<int>& calls) {
  std::vector<E> last;
  CachedSizes sizes = layer.sizes;
  const int T = sizes.call.T;
  const size_t row = size_t(3 * sizes.call.C());
  int done = 0;
  for (int n : calls) {
    std::vector<E> part;
    for (int b = 0; b < sizes.call.B; ++b) {
      auto at = qkv.begin() + int64_t(size_t(b * T + done) * row);
      part.insert(part.end(), at, at + int64_t(size_t(n) * row));
    }
    sizes.call.T = n;
    DeviceBuffer<E> input(part), y(part.size() / 3);
    DeviceBuffer<int32_t> first(positions);
    DeviceBuffer<F> scratch(size_t(cuda::cached_attention_scratch(sizes) + 1));
    cuda::cached_attention<E, S, F>(input.data(), layer.pointers(), first.data(), scratch.data(),
                                    y.data(), sizes, test_stream());
    last = y.read();
    done += n;
    for (int32_t& position : positions) position += n;
  }
  return last;
}

// Several orders of the threads; sequences at positions of their own; a call that goes from chunk
// to chunk, and calls whose chunks are apart.
template <class E, class S, class F>
void expect_same_on_every_schedule(int D) {
  SCOPED_TRACE(D);
  const CachedSizes sizes{{2, 40, 1, D}, 3};
  const std::vector<E> qkv = normal<E>(size_t(2 * 40 * 3 * D), 5);
  std::vector<std::vector<E>> first;
  on_every_schedule([&] {
    std::vector<std::vector<E>> got;
    for (const std::vector<int>& calls : {std::vector{40}, std::vector{24, 16}}) {
      TestLayer<S> layer(sizes);
      got.push_back(attend<E, S, F>(qkv, layer, {0, 0}, calls));
      got.push_back(attend<E, S, F>(qkv, layer, {40, 25}, calls));
    }
    if (first.empty()) first = got;
    for (size_t i = 0; i < got.size(); ++i) {
      const std::vector<E>&a = got[i], &b = first[i];
      ASSERT_EQ(a.size(), b.size());
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(E)), 0);
    }
    for (size_t i : {0u, 1u}) {  // of each sequence the last 16 positions are both calls'
      const std::vector<E>&all = got[i], &part = got[i + 2];
      for (size_t b : {0u, 1u}) {
        const size_t n = 16 * size_t(D), all_at = (b + 1) * all.size() / 2 - n;
        EXPECT_EQ(std::memcmp(&all[all_at], &part[b * n], n * sizeof(E)), 0);
      }
    }
  });
}

TEST(CudaKvCache, SameBytesInEveryOrder) {
  expect_same_on_every_schedule<bfloat16, bfloat16, float>(64);
  expect_same_on_every_schedule<bfloat16, int8_t, float>(96);
  if (with_tsan) GTEST_SKIP() << "the rest takes ThreadSanitizer too long";
  expect_same_on_every_schedule<bfloat16, int8_t, float>(24);
  expect_same_on_every_schedule<float, float, float>(20);
  expect_same_on_every_schedule<float, int8_t, float>(20);
  expect_same_on_every_schedule<double, double, double>(6);
}

// Zeros, tiny numbers, ties between two integers, what is not finite.
TEST(CudaKvCache, Int8IsTheCpusIntegersAndScales) {
  const int T = 70, D = 20, width = cuda::cached_width<int8_t>(D);
  std::vector<float> qkv = normal<float>(size_t(T * 3 * D), 7);
  auto value = [&](int t) { return std::span(qkv).subspan(size_t((3 * t + 2) * D), size_t(D)); };
  std::ranges::fill(value(1), 0.0f);
  for (float& x : value(2)) x *= 1e-17f;
  for (int c = 0; c < D; ++c) value(3)[size_t(c)] = c == 7 ? -127.0f : 0.5f * float(c);
  for (float& x : value(4)) x *= 1e30f;
  value(5)[3] = INFINITY;
  value(6)[3] = NAN;

  KvLayer expected = backend(cpu)->kv_cache.make_layer(1, T, Heads::alike(D, 1), DType::i8);
  backend(cpu)->kv_cache.attention(to_array(qkv, {1, T, 3 * D}, cpu), Heads::alike(D, 1), expected,
                                   to_array(std::vector<int32_t>{0}, {1}, cpu));
  std::vector<int8_t> cpu_values(size_t(expected.v.size()));
  backend(cpu)->memory.read(expected.v, cpu_values.data());
  const std::vector<float> cpu_scales = to_vector<float>(expected.scales);

  TestLayer<int8_t> layer(CachedSizes{{1, T, 1, D}, 2});
  DeviceBuffer<float> input(qkv);
  DeviceBuffer<int32_t> positions(std::vector<int32_t>{0});
  cuda::append_to_cache(input.data(), layer.pointers(), positions.data(), layer.sizes,
                        test_stream());
  const std::vector<int8_t> values = layer.v.read();
  const std::vector<float> scales = layer.scales.read();
  const int cpu_width = int(expected.v.dim(3));
  for (int t = 0; t < T; ++t) {
    const size_t place = size_t(t / 64 * 128 + t % 64);
    for (size_t at : {place, place + 64})
      EXPECT_EQ(std::memcmp(&scales[at], &cpu_scales[at], sizeof(float)) == 0 ||
                    (std::isnan(scales[at]) && std::isnan(cpu_scales[at])),
                true)
          << t << ": " << scales[at] << ", " << cpu_scales[at];
    if (std::isnan(cpu_scales[place + 64])) continue;
    for (int c = 0; c < D; ++c)
      EXPECT_EQ(int(values[size_t(t * width + c)]), int(cpu_values[size_t(t * cpu_width + c)]))
          << "position " << t << ", element " << c;
  }
}

}  // namespace
}  // namespace folio
