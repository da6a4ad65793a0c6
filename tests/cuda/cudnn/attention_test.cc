// cuDNN's attention on a GPU, against f64 on the CPU and against folio's own kernels.
#include "core/cuda/attention.h"

#include <gtest/gtest.h>

#include <optional>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/cudnn_attention.h"
#include "tests/core/attention/attention_reference.h"

namespace folio {
namespace {

using cuda::AttentionArrays;
using cuda::AttentionPass;

class CudnnAttention : public testing::TestWithParam<Sizes> {
 protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no CUDA GPU";
    if (!cuda::why_no_cudnn().empty()) GTEST_SKIP() << cuda::why_no_cudnn();
    if (cuda::device_sm() < 80) GTEST_SKIP() << "sm_" << cuda::device_sm() << " is not for cuDNN";
    gpu_ = device_named("cuda");
    on_gpu_.emplace(gpu_);
  }

  // Normally distributed numbers in `dtype`, on the CPU.
  static Array normal(const Shape& shape, DType dtype, unsigned seed) {
    return array_of(normal_values(shape.size(), seed), shape, dtype);
  }

  struct Results {
    Attended forward;
    Array dqkv;
  };
  Results run(AttentionOps& forward_ops, AttentionOps& grad_ops, const Array& qkv, const Array& dy,
              int64_t n_head, const Dropout& dropout = {}) const {
    const Heads heads = Heads::alike(dy.dim(2), n_head);
    const Array on_gpu = to(qkv, gpu_), dy_on_gpu = to(dy, gpu_);
    Results results{forward_ops.forward(on_gpu, heads, dropout), {}};
    results.dqkv = grad_ops.grad(dy_on_gpu, on_gpu, results.forward, heads, dropout);
    return results;
  }

  static void expect_same_bytes(const Results& a, const Results& b) {
    EXPECT_EQ(bytes_of(a.forward.y), bytes_of(b.forward.y));
    EXPECT_EQ(bytes_of(a.forward.lse), bytes_of(b.forward.lse));
    EXPECT_EQ(bytes_of(a.dqkv), bytes_of(b.dqkv));
  }

  Device gpu_ = cpu;
  std::optional<RunningOn> on_gpu_;
};

// Lengths and widths that fill a tile, that fill none, and rows whose number is odd.
INSTANTIATE_TEST_SUITE_P(Shapes, CudnnAttention,
                         testing::Values(Sizes{2, 64, 2, 64}, Sizes{1, 33, 1, 8},
                                         Sizes{3, 7, 5, 40}, Sizes{2, 100, 3, 96},
                                         Sizes{1, 130, 2, 128}, Sizes{2, 256, 6, 64}),
                         [](const auto& info) {
                           const Sizes& s = info.param;
                           return fmt::format("B{}_T{}_H{}_D{}", s.B, s.T, s.H, s.D);
                         });

TEST_P(CudnnAttention, MatchesTheWholeMatrix) {
  const Sizes s = GetParam();
  const Array qkv = normal(s.packed(), DType::bf16, 1), dy = normal(s.rows(), DType::bf16, 2);
  const AttentionReference expected = attention_reference(s, values_of(qkv), values_of(dy), {});
  AttentionOps &by_rule = cuda_attention(), &kernels = cuda_attention_kernels();
  auto expect_close = [&](const Results& got) {
    EXPECT_LE(largest_error(got.forward.y, expected.y), 8e-3);
    EXPECT_LE(largest_error(got.forward.lse, expected.lse), 1e-5);
    EXPECT_LE(largest_error(got.dqkv, expected.dqkv), 3e-2);
  };
  for (AttentionOps* forward : {&by_rule, &kernels})
    for (AttentionOps* grad : {&by_rule, &kernels}) {
      SCOPED_TRACE(fmt::format("{}, then the gradient by {}",
                               forward == &kernels ? "kernels" : "cuDNN",
                               grad == &kernels ? "kernels" : "cuDNN"));
      expect_close(run(*forward, *grad, qkv, dy, s.H));
    }
}

// That it is cuDNN which runs by the rule, and twice gives the same bytes.
TEST_P(CudnnAttention, IsWhatRunsAndIsDeterministic) {
  const Sizes s = GetParam();
  const Array qkv = normal(s.packed(), DType::bf16, 3), dy = normal(s.rows(), DType::bf16, 4);
  const Results first = run(cuda_attention(), cuda_attention(), qkv, dy, s.H);
  expect_same_bytes(run(cuda_attention(), cuda_attention(), qkv, dy, s.H), first);

  const Array on_gpu = to(qkv, gpu_), dy_on_gpu = to(dy, gpu_);
  const Results direct{
      {Array(s.rows(), DType::bf16, gpu_), Array({s.B, s.H, s.T}, DType::f32, gpu_)},
      Array(s.packed(), DType::bf16, gpu_)};
  const cuda::AttentionSizes sizes{int(s.B), int(s.T), int(s.H), int(s.D)};
  const AttentionArrays arrays{.qkv = on_gpu.data<bfloat16>(),
                               .y = direct.forward.y.data<bfloat16>(),
                               .lse = direct.forward.lse.data<float>(),
                               .dy = dy_on_gpu.data<bfloat16>(),
                               .dqkv = direct.dqkv.data<bfloat16>()};
  EXPECT_TRUE(cuda::cudnn_attention(AttentionPass::forward, sizes, arrays));
  EXPECT_TRUE(cuda::cudnn_attention(AttentionPass::grad, sizes, arrays));
  expect_same_bytes(direct, first);
}

// What is not for cuDNN, or refused by it, is what the kernels give.
TEST_F(CudnnAttention, KernelsRunTheRest) {
  const Sizes s{2, 65, 2, 32}, one{2, 1, 2, 32};
  const Dropout some = Dropout::with(0.3, RandomStream{1337, 2});
  for (const auto& [sizes, dtype, dropout] : {std::tuple{s, DType::bf16, some},
                                              {s, DType::f32, Dropout{}},
                                              {one, DType::f32, Dropout{}}}) {
    const Array qkv = normal(sizes.packed(), dtype, 5), dy = normal(sizes.rows(), dtype, 6);
    expect_same_bytes(
        run(cuda_attention(), cuda_attention(), qkv, dy, sizes.H, dropout),
        run(cuda_attention_kernels(), cuda_attention_kernels(), qkv, dy, sizes.H, dropout));
  }
  // cuDNN has no gradient for one position: its own forward, then the kernels' gradient.
  const Array qkv = normal(one.packed(), DType::bf16, 7), dy = normal(one.rows(), DType::bf16, 8);
  expect_same_bytes(run(cuda_attention(), cuda_attention(), qkv, dy, one.H),
                    run(cuda_attention(), cuda_attention_kernels(), qkv, dy, one.H));
}

}  // namespace
}  // namespace folio
