// Kernels look rows up by ids and check nothing: the ops that take ids let none through that could
// be out of range.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

Array ids(std::vector<int32_t> values) { return to_array(values, {1, int64_t(values.size())}); }
Tensor of(Shape shape) { return zeros(shape, DType::f32); }

// Of tables of 4 rows, of which 0 to 3 exist; of targets also -1.
struct OpWithIds {
  std::string op, operand;
  int32_t least;
  std::function<void(const Array& two_ids)> run;
};
const std::vector<OpWithIds> ops{
    {"embedding", "tokens", 0,
     [](const Array& ids) {
       embedding(ids, of({4, 2}), of({8, 2}), DType::f32);
     }},
    {"embedding", "first positions", 0,
     [](const Array& positions) {
       const Array tokens = to_array(std::vector<int32_t>{0, 0, 0, 0}, {2, 2});
       embedding(tokens, of({4, 2}), of({5, 2}), DType::f32, positions.reshape({2}));
     }},
    {"take_rows", "ids", 0,
     [](const Array& ids) {
       take_rows(of({4, 2}), ids);
     }},
    {"cross_entropy", "targets", -1,
     [](const Array& ids) {
       cross_entropy(of({2, 4}), ids);
     }},
    {"linear_cross_entropy", "targets", -1, [](const Array& ids) {
       linear_cross_entropy(of({2, 3}), of({4, 3}), ids);
     }}};

TEST(IdErrors, IdsOutOfRangeAreRefusedByName) {
  for (const OpWithIds& op : ops) {
    SCOPED_TRACE(op.op);
    EXPECT_EQ(error_of([&] { op.run(ids({3, op.least})); }), "");
    for (int32_t bad : {4, op.least - 1, INT32_MAX, INT32_MIN})
      EXPECT_THAT(
          message_of([&] {
            op.run(ids({1, bad}));
          }),
          AllOf(StartsWith(op.op + ": the " + op.operand),
                HasSubstr(fmt::format("are from {} to {}", std::min(1, bad), std::max(1, bad))),
                HasSubstr(fmt::format("must be from {} to 3", op.least))));
  }
}

TEST(IdErrors, IdsThatNobodyHasLookedAtAreRefusedByName) {
  for (const OpWithIds& op : ops) {
    SCOPED_TRACE(op.op);
    Array written = ids({1, 2});
    backend(written)->elementwise.fill(written, 1);
    for (const Array& unknown : {empty({1, 2}, DType::i32), written})
      EXPECT_THAT(message_of([&] { op.run(unknown); }),
                  AllOf(StartsWith(op.op + ": nobody has looked at what the " + op.operand),
                        HasSubstr("token_ids, target_ids")));
  }
}

}  // namespace
}  // namespace folio
