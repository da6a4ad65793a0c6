#include <algorithm>
#include <numeric>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/epilogue.h"
#include "core/cpu/gemm.h"
#include "core/cpu/scratch.h"
#include "core/cpu/tiles/tile_gemm.h"
#include "core/devices/costs.h"

namespace folio {
namespace {

// Targets that count: those that are not -1.
int64_t count_targets(const int32_t* targets, int64_t m) {
  return m - std::count(targets, targets + m, -1);
}

// Rows whose logits are held at once: at most 64 MiB of f32 unless V alone is larger, in equal
// parts.
int64_t chunk_rows(int64_t m, int64_t V) {
  int64_t most = std::max<int64_t>(32, (int64_t(1) << 24) / V);
  int64_t chunks = (m + most - 1) / most;
  return ((m + chunks - 1) / chunks + 7) / 8 * 8;
}

// Losses of `rows` rows of logits, and the gradient of the mean in `dlogits` if it is given. A row
// whose target is ignored has none.
template <class A, class T>
void softmax_rows(A* logits, const int32_t* targets, int64_t rows, int64_t V, A scale, A softcap,
                  double* losses, T* dlogits) {
  parallel_blocks(rows, std::max<int64_t>(1, 4096 / V), [&](int64_t begin, int64_t end) {
    Scratch scratch(softcap > 0 ? Scratch::bytes_for<A>(V) : 0);
    A* slopes = softcap > 0 ? scratch.take<A>(V) : nullptr;
    for (int64_t i = begin; i < end; ++i) {
      T* to = dlogits ? dlogits + i * V : nullptr;
      losses[i] = 0;
      if (targets[i] >= 0)
        losses[i] =
            double(softmax_loss<A, T>(logits + i * V, V, targets[i], scale, to, softcap, slopes));
      else if (to)
        std::fill_n(to, V, T(A(0)));
    }
  });
}

// dx = a b, narrowed to dx's type T.
template <class A, class T>
void grad_x(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, T* dx) {
  for_tiles(m, n, [&](int64_t i, int64_t j, int64_t rows, int64_t cols) {
    if constexpr (std::is_same_v<A, T>) {
      gemm(rows, cols, k, a.at(i, 0), b.at(0, j), dx + i * n + j, n);
    } else {
      Scratch scratch(Scratch::bytes_for<A>(rows * cols));
      A* sums = scratch.take<A>(rows * cols);
      gemm(rows, cols, k, a.at(i, 0), b.at(0, j), sums, cols);
      for (int64_t r = 0; r < rows; ++r)
        bias_act<A, T>(sums + r * cols, nullptr, cols, Unary::none, nullptr, dx + (i + r) * n + j);
    }
  });
}

// The same on a matrix unit.
template <class T>
void tile_grad_x(const TileUnit& unit, int64_t m, const Operand& a, const TilePanels& b, T* dx) {
  tile_product(unit, m, a, b, [&](const float* sums, int64_t i, int64_t j, int64_t columns) {
    if constexpr (std::is_same_v<T, bfloat16>)
      bias_act<float, T>(sums, nullptr, columns, Unary::none, nullptr, dx + i * b.n + j);
  });
}

// A: the type of sums; T: of x; G: that in which the gradient of the logits is multiplied.
template <class A, class T, class G>
CrossEntropy run(const Array& x, const Array& w, const Array& targets, bool with_grad,
                 double factor, double softcap) {
  int64_t m = x.rows(), C = x.dim(-1), V = w.dim(0);
  const int32_t* target = targets.data<int32_t>();
  int64_t count = count_targets(target, m), chunk = chunk_rows(std::max<int64_t>(m, 1), V);
  CrossEntropy result{Array({}, dtype_of<A>, x.device()), {}, {}};
  const TileUnit* unit = std::is_same_v<G, bfloat16> && C > 0 ? tile_unit() : nullptr;
  Array weight = unit ? w : gemm_operand(w, x.dtype()), losses({m}, DType::f64, x.device());
  Array logits({chunk, V}, dtype_of<A>, x.device()), dlogits = logits;
  if (with_grad) {
    result.dx = Array(x.shape(), x.dtype(), x.device());
    result.dw = zeros(w.shape(), dtype_of<A>, x.device());
    if constexpr (!std::is_same_v<A, G>) dlogits = Array({chunk, V}, dtype_of<G>, x.device());
  }
  Operand wv = operand(weight), wt = operand(weight, true);
  TilePanels w_panels, wt_panels;
  if (unit) {
    wt_panels = pack_panels(wt, C, V, x.device());
    if (with_grad) w_panels = pack_panels(wv, V, C, x.device());
  }
  A scale = count > 0 ? A(factor) / A(count) : A(0);
  for (int64_t i = 0; i < m; i += chunk) {
    int64_t rows = std::min(chunk, m - i);
    Operand xs = operand(x).at(i, 0);
    if (unit)
      tile_product(*unit, rows, xs, wt_panels, logits.data<float>());
    else
      parallel_gemm(rows, V, C, xs, wt, logits);
    softmax_rows<A, G>(logits.data<A>(), target + i, rows, V, scale, A(softcap),
                       losses.data<double>() + i, with_grad ? dlogits.data<G>() : nullptr);
    if (!with_grad) continue;
    T* dx = result.dx.data<T>() + i * C;
    if (unit)
      tile_grad_x(*unit, rows, operand(dlogits), w_panels, dx);
    else
      grad_x<A, T>(rows, C, V, operand(dlogits), wv, dx);
    parallel_gemm(V, C, rows, operand(dlogits, true), xs, result.dw, true);
  }
  double sum = 0;
  for (int64_t i = 0; i < m; ++i) sum += losses.data<double>()[i];
  *result.loss.data<A>() =
      A(factor * (sum / double(count)));  // no target counts: NaN, as in PyTorch
  return result;
}

template <class A>
Array packed_loss(const Array& x, const PackedWeight& w, const Array& targets, double softcap) {
  int64_t m = x.rows(), chunk = chunk_rows(std::max<int64_t>(m, 1), w.n);
  const int32_t* target = targets.data<int32_t>();
  int64_t count = count_targets(target, m);
  Array rows = x.reshape({m, w.k});
  std::vector<double> losses(static_cast<size_t>(m));
  for (int64_t i = 0; i < m; i += chunk) {
    int64_t end = std::min(m, i + chunk);
    Array logits = backend(x)->packed.linear(rows.slice(i, end), w, {}, Unary::none);
    softmax_rows<A, A>(logits.data<A>(), target + i, end - i, w.n, A(1), A(softcap),
                       &losses[size_t(i)], nullptr);
  }
  double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
  return to_array<A>({A(sum / double(count))}, {}, x.device());
}

class CpuLossOps final : public LossOps {
 public:
  CrossEntropy linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                    bool with_grad, double factor, double softcap) override {
    count_flops(product_flops(x.rows(), w.dim(0), x.dim(-1)) * (with_grad ? 3 : 1));
    if (x.dtype() == DType::f64)
      return run<double, double, double>(x, w, targets, with_grad, factor, softcap);
    if (x.dtype() == DType::f32)
      return run<float, float, float>(x, w, targets, with_grad, factor, softcap);
    if (gemm_dtype(DType::bf16) == DType::f32)
      return run<float, bfloat16, float>(x, w, targets, with_grad, factor, softcap);
    return run<float, bfloat16, bfloat16>(x, w, targets, with_grad, factor, softcap);
  }

  Array linear_cross_entropy(const Array& x, const PackedWeight& w, const Array& targets,
                             double softcap) override {
    if (x.dtype() == DType::f64) return packed_loss<double>(x, w, targets, softcap);
    // The logits have the dtype of x: never bf16 here.
    return packed_loss<float>(
        x.dtype() == DType::f32 ? x : backend(x)->elementwise.cast(x, DType::f32), w, targets,
        softcap);
  }
};

}  // namespace

LossOps& cpu_losses() {
  static auto& operations = *new CpuLossOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
