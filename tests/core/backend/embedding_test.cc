#include <gmock/gmock.h>

#include "tests/core/arrays.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

using Ids = std::vector<int32_t>;

Ids random_ids(int64_t size, int64_t V, unsigned seed) {
  std::mt19937 generator(seed);
  Ids ids;
  for (int64_t i = 0; i < size; ++i) {
    auto id = int32_t(generator() % uint32_t(V));
    ids.push_back(i % 3 == 0 ? V > 1 : id);  // one token much more common than the others
  }
  return ids;
}

struct Types {
  DType table, out;
};

TEST(Embedding, AddsTheRowsOfTokenAndPosition) {
  on_every_target([&] {
    constexpr int64_t B = 3, T = 5, V = 11, P = 9, C = 21;
    for (auto [table, out] : {Types{DType::f64, DType::f64},
                              {DType::f32, DType::f32},
                              {DType::f32, DType::bf16},
                              {DType::bf16, DType::bf16}}) {
      Array wte = array_of(normal_values(V * C, 1), {V, C}, table);
      Array wpe = array_of(normal_values(P * C, 2), {P, C}, table);
      Ids ids = random_ids(B * T, V, 3);
      Array tokens = to_array(ids, {B, T});
      auto words = values_of(wte), places = values_of(wpe);
      for (const std::vector<int64_t>& first :
           {std::vector<int64_t>{}, std::vector<int64_t>{0, 4, 2}}) {
        std::vector<double> expected;
        for (int64_t i = 0; i < B * T * C; ++i) {
          int64_t row = i / C, b = row / T, c = i % C;
          int64_t place = (first.empty() ? 0 : first[size_t(b)]) + row % T;
          expected.push_back(words[size_t(ids[size_t(row)] * C + c)] +
                             places[size_t(place * C + c)]);
        }
        Array y = backend(tokens)->embeddings.embedding(tokens, wte, wpe, positions_of(first), out);
        EXPECT_EQ(y.shape(), (Shape{B, T, C}));
        EXPECT_EQ(bytes_of(y), bytes_of(array_of(expected, {B, T, C}, out)));
      }
    }
  });
}

TEST(Embedding, NamesAPositionBeyondTheTable) {
  Array wte = zeros({7, 4}, DType::f32), wpe = zeros({8, 4}, DType::f32);
  Array tokens = zeros({2, 3}, DType::i32);
  auto run = [&](std::vector<int64_t> first) {
    return message_of([&] {
      backend(tokens)->embeddings.embedding(tokens, wte, wpe, positions_of(first), DType::f32);
    });
  };
  std::vector<int64_t> fits{0, 5};
  EXPECT_NO_THROW(
      backend(tokens)->embeddings.embedding(tokens, wte, wpe, positions_of(fits), DType::f32));
  EXPECT_THAT(run({0, 6}), testing::HasSubstr("[6, 9)"));
  EXPECT_THAT(run({-1, 0}), testing::HasSubstr("[-1, 2)"));
  EXPECT_THAT(run({0}), testing::HasSubstr("1 first positions for 2 rows"));
  auto run_with = [&](const Array& ids, const Array& positions) {
    return message_of(
        [&] { backend(ids)->embeddings.embedding(ids, wte, wpe, positions, DType::f32); });
  };
  EXPECT_THAT(run_with(zeros({1, 9}, DType::i32), {}), testing::HasSubstr("[0, 9)"));
  EXPECT_THAT(run_with(tokens, empty({2}, DType::i32)), testing::HasSubstr("nobody has looked"));
}

TEST(EmbeddingGrad, SumsTheRowsOfEachToken) {
  on_every_target([&] {
    for (auto [N, V, C] : {std::array<int64_t, 3>{2000, 65, 21}, {6, 5000, 16}, {300, 1, 7}}) {
      Ids ids = random_ids(N, V, 4);
      Array tokens = to_array(ids, {1, N});
      for (DType dtype : float_dtypes) {
        Array dy = array_of(normal_values(N * C, 5), {1, N, C}, dtype);
        auto grad = values_of(dy);
        std::vector<double> expected(size_t(V * C), 0);
        for (int64_t i = 0; i < N * C; ++i)
          expected[size_t(ids[size_t(i / C)] * C + i % C)] += grad[size_t(i)];
        // Of the positions, which are N different ones here, dy's own rows, and a row of zeros.
        std::vector<double> expected_wpe = grad;
        expected_wpe.resize(size_t((N + 1) * C), 0);
        Array dwte = Array::shape_only({V, C}, dtype), dwpe = Array::shape_only({N + 1, C}, dtype);
        for (double times : {1, 2}) {  // made first, then added to
          backend(dy)->embeddings.embedding_grad(dy, tokens, dwte, &dwpe);
          const double close = times * (dtype == DType::f64 ? 1e-13 : 5e-6);
          EXPECT_EQ(dwte.shape(), (Shape{V, C}));
          EXPECT_EQ(dwte.dtype(), dtype == DType::f64 ? DType::f64 : DType::f32);
          expect_near(dwte, multiplied(expected, times), close);
          expect_near(dwpe, multiplied(expected_wpe, times), close);
        }
      }
    }
  });
}

TEST(EmbeddingGrad, SameBitsForAnyThreads) {
  Array tokens = to_array(random_ids(5000, 65, 6), {5, 1000});
  Array dy = array_of(normal_values(5000 * 48, 7), {5, 1000, 48}, DType::f32);
  expect_same_for_any_threads([&] {
    Array dwte = Array::shape_only({65, 48}, DType::f32);
    Array dwpe = Array::shape_only({1000, 48}, DType::f32);
    backend(dy)->embeddings.embedding_grad(dy, tokens, dwte, &dwpe);
    return std::vector{dwte, dwpe};
  });
}

}  // namespace
}  // namespace folio
