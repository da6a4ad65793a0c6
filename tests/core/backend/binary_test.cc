#include "core/binary_ops.h"

#include "tests/core/arrays.h"

namespace folio {
namespace {

std::vector<Binary> all_ops() {
  std::vector<Binary> ops;
  for_each_op<BinaryOps>([&](auto op) { ops.push_back(binary<decltype(op)>()); });
  return ops;
}

// Shapes that go together: alike, and repeated in front, at the end, between and all over.
const std::vector<std::pair<Shape, Shape>> pairs = {{{}, {}},
                                                    {{3, 40}, {3, 40}},
                                                    {{2, 3, 37}, {37}},
                                                    {{2, 3, 37}, {3, 1}},
                                                    {{5}, {2, 3, 1}},
                                                    {{2, 1, 3, 1}, {4, 1, 5}},
                                                    {{70000}, {1}},
                                                    {{2, 1, 300}, {2, 90, 1}},
                                                    {{1, 1}, {4, 600}},
                                                    {{3, 1, 20000}, {2, 1}},
                                                    {{2, 3, 4, 5, 6}, {4, 1, 6}}};

// The element of an array of `shape` that goes with element `at` of one of shape `y`.
size_t partner(int64_t at, const Shape& y, const Shape& shape) {
  int64_t place = 0, step = 1;
  for (int i = 1; i <= y.rank(); ++i) {
    const int64_t index = at % y[-i];
    at /= y[-i];
    if (i > shape.rank()) continue;
    if (shape[-i] != 1) place += index * step;
    step *= shape[-i];
  }
  return size_t(place);
}

struct Operands {
  Array a, b, dy;
  std::vector<double> as, bs, dys;
  Operands(const Shape& a_shape, const Shape& b_shape, DType dtype)
      : a(array_of(normal_values(a_shape.size(), 1), a_shape, dtype)) {
    std::vector<double> away_from_0 = normal_values(b_shape.size(), 2);
    for (double& x : away_from_0) x += x < 0 ? -0.5 : 0.5;
    b = array_of(away_from_0, b_shape, dtype);
    const Shape y = broadcast(a_shape, b_shape).value();
    dy = array_of(normal_values(y.size(), 3), y, dtype);
    as = values_of(a), bs = values_of(b), dys = values_of(dy);
  }
};

TEST(Broadcast, FollowsNumPy) {
  EXPECT_EQ(broadcast({2, 3}, {3}), (Shape{2, 3}));
  EXPECT_EQ(broadcast({2, 1}, {4, 1, 5}), (Shape{4, 2, 5}));
  EXPECT_EQ(broadcast({}, {0, 1}), (Shape{0, 1}));
  EXPECT_EQ(broadcast({1}, {0}), Shape{0});
  EXPECT_EQ(broadcast({2, 3}, {2}), std::nullopt);
  EXPECT_EQ(broadcast({0}, {2}), std::nullopt);
}

TEST(Binary, MatchesTheScalarFunctor) {
  on_every_target([&] {
    for (DType dtype : float_dtypes) {
      for (const auto& [a_shape, b_shape] : pairs) {
        const Operands in(a_shape, b_shape, dtype);
        for (Binary op : all_ops()) {
          std::vector<double> y;
          for (int64_t i = 0; i < in.dy.size(); ++i) {
            const double a = in.as[partner(i, in.dy.shape(), a_shape)];
            const double b = in.bs[partner(i, in.dy.shape(), b_shape)];
            y.push_back(visit_binary(op, [&](auto f) { return f.value(a, b); }));
          }
          const Array result = backend(in.a)->broadcast.binary(op, in.a, in.b);
          EXPECT_EQ(result.shape(), in.dy.shape());
          expect_near(result, y, epsilon_of(dtype));
        }
      }
    }
  });
}

TEST(Binary, GradientsAreSummedWhereAnOperandIsRepeated) {
  on_every_target([&] {
    for (DType dtype : float_dtypes) {
      for (const auto& [a_shape, b_shape] : pairs) {
        const Operands in(a_shape, b_shape, dtype);
        for (Binary op : all_ops()) {
          std::vector<double> da(in.as.size(), 0), db(in.bs.size(), 0);
          std::vector<double> a_size = da, b_size = db;  // of what is summed, for the tolerance
          for (int64_t i = 0; i < in.dy.size(); ++i) {
            const size_t ia = partner(i, in.dy.shape(), a_shape);
            const size_t ib = partner(i, in.dy.shape(), b_shape);
            visit_binary(op, [&](auto f) {
              const double ga = in.dys[size_t(i)] * f.slope_a(in.as[ia], in.bs[ib]);
              const double gb = in.dys[size_t(i)] * f.slope_b(in.as[ia], in.bs[ib]);
              da[ia] += ga, a_size[ia] += std::abs(ga);
              db[ib] += gb, b_size[ib] += std::abs(gb);
            });
          }
          auto expect = [&](Side side, const Array& x, const std::vector<double>& expected,
                            const std::vector<double>& size) {
            const Array grad = backend(x)->broadcast.binary_grad(op, side, in.a, in.b, in.dy);
            EXPECT_EQ(grad.shape(), x.shape());
            EXPECT_EQ(grad.dtype(), dtype);
            const auto values = values_of(grad);
            for (size_t i = 0; i < values.size(); ++i)
              ASSERT_NEAR(values[i], expected[i],
                          epsilon_of(dtype) * (1 + std::abs(expected[i])) + 1e-7 * size[i]);
          };
          expect(Side::a, in.a, da, a_size);
          expect(Side::b, in.b, db, b_size);
        }
      }
    }
  });
}

// What a gradient does not read need not be there.
TEST(Binary, SumsNeedShapesAlone) {
  const Operands in({2, 3}, {3}, DType::f32);
  const Array a = Array::shape_only({2, 3}, DType::f32), b = Array::shape_only({3}, DType::f32);
  for (Binary op : {binary<Add>(), binary<Sub>()})
    for (Side side : {Side::a, Side::b})
      EXPECT_EQ(bytes_of(backend(in.dy)->broadcast.binary_grad(op, side, a, b, in.dy)),
                bytes_of(backend(in.dy)->broadcast.binary_grad(op, side, in.a, in.b, in.dy)));
}

TEST(Binary, SameBitsForAnyThreads) {
  const Operands in({3, 1, 20000}, {7, 1}, DType::f32);
  expect_same_for_any_threads([&] {
    return std::vector{
        backend(in.a)->broadcast.binary(binary<Div>(), in.a, in.b),
        backend(in.a)->broadcast.binary_grad(binary<Div>(), Side::a, in.a, in.b, in.dy),
        backend(in.a)->broadcast.binary_grad(binary<Div>(), Side::b, in.a, in.b, in.dy)};
  });
}

}  // namespace
}  // namespace folio
