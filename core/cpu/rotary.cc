#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/rotary.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/scratch.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/costs.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace {

// What one head of one position goes through. `turn` holds the cosines, then the sines; it and the
// weight may be null.
template <class A>
struct HeadStep {
  int64_t width;
  bool normed;
  A eps;
  const A *weight, *turn;
};

// 1 / sqrt(mean(x^2) + eps), or 1 without a norm.
template <class T, class A = Compute<T>>
HWY_INLINE A rstd_of(const T* x, const HeadStep<A>& step) {
  if (!step.normed) return 1;
  Tag<T> d;
  Simd<Tag<T>> squares(0.0);
  for_vectors(d, 0, step.width, [&](int64_t i, auto n) HWY_ATTR {
    const auto value = load(d, x + i, n);
    squares = squares + value * value;
  });
  return A(1) / std::sqrt(sum(squares) / A(step.width) + step.eps);
}

template <class T, class A = Compute<T>>
void head_forward(const T* x, const HeadStep<A>& step, T* y) {
  Tag<T> d;
  using F = Simd<Tag<T>>;
  const F rstd(static_cast<double>(rstd_of(x, step)));
  auto normed = [&](int64_t i, auto n) HWY_ATTR {
    F value = load(d, x + i, n);
    if (step.normed) value = value * rstd;
    return step.weight ? F(value * load(d, step.weight + i, n)) : value;
  };
  if (!step.turn) {
    for_vectors(d, 0, step.width,
                [&](int64_t i, auto n) HWY_ATTR { store(normed(i, n), y + i, n); });
    return;
  }
  const int64_t half = step.width / 2;
  for_vectors(d, 0, half, [&](int64_t i, auto n) HWY_ATTR {
    const F a = normed(i, n), b = normed(half + i, n);
    const F cos = load(d, step.turn + i, n), sin = load(d, step.turn + half + i, n);
    store(a * cos - b * sin, y + i, n);
    store(b * cos + a * sin, y + half + i, n);
  });
}

// With g = dy turned back, n = x rstd and gw = g w: dx = rstd (gw - n mean(gw n)); adds g n to dw
// unless that is null. `g` [width] is scratch.
template <class T, class A = Compute<T>>
void head_grad(const T* dy, const T* x, const HeadStep<A>& step, A* g, T* dx, A* dw) {
  Tag<T> d;
  using F = Simd<Tag<T>>;
  if (step.turn) {
    const int64_t half = step.width / 2;
    for_vectors(d, 0, half, [&](int64_t i, auto n) HWY_ATTR {
      const F a = load(d, dy + i, n), b = load(d, dy + half + i, n);
      const F cos = load(d, step.turn + i, n), sin = load(d, step.turn + half + i, n);
      store(a * cos + b * sin, g + i, n);
      store(b * cos - a * sin, g + half + i, n);
    });
  } else {
    for_vectors(d, 0, step.width,
                [&](int64_t i, auto n) HWY_ATTR { store(load(d, dy + i, n), g + i, n); });
  }
  if (!step.normed) {
    for_vectors(d, 0, step.width,
                [&](int64_t i, auto n) HWY_ATTR { store(load(d, g + i, n), dx + i, n); });
    return;
  }
  const F rstd(static_cast<double>(rstd_of(x, step)));
  F along(0.0);
  for_vectors(d, 0, step.width, [&](int64_t i, auto n) HWY_ATTR {  // lanes past the end have g = 0
    F gn = load(d, g + i, n) * (load(d, x + i, n) * rstd);
    if (dw) store(load(d, dw + i, n) + gn, dw + i, n);
    along = along + (step.weight ? F(gn * load(d, step.weight + i, n)) : gn);
  });
  const F mean(static_cast<double>(sum(along) / A(step.width)));
  for_vectors(d, 0, step.width, [&](int64_t i, auto n) HWY_ATTR {
    F gw = load(d, g + i, n);
    if (step.weight) gw = gw * load(d, step.weight + i, n);
    store(rstd * (gw - load(d, x + i, n) * rstd * mean), dx + i, n);
  });
}

// What a call says of its heads; norm's weights are in the dtype of sums.
struct Call {
  const Heads& heads;
  const HeadNorm& norm;
  const Array& table;

  // f(head, step) for every head of queries and keys at row r of qkv [B, T, ...].
  template <class A, class F>
  void each_head(int64_t r, int64_t T, F&& f) const {
    const int64_t width = heads.width;
    HeadStep<A> step{width, norm.enabled, A(norm.eps), nullptr, nullptr};
    if (table.defined()) step.turn = table.data<A>() + (table.dim(0) == 1 ? r % T : r) * width;
    for (int64_t head = 0; head < heads.n_head + heads.n_kv_head; ++head) {
      const Array& weight = head < heads.n_head ? norm.q : norm.k;
      step.weight = weight.defined() ? weight.data<A>() : nullptr;
      f(head, step);
    }
  }
};

void rotary_forward(const Array& qkv, const Heads& heads, const HeadNorm& norm, const Array& table,
                    Array& y) {
  const Call call{heads, norm, table};
  visit_dtype(qkv.dtype(), "rotary", [&](auto t) {
    using T = decltype(t);
    const int64_t columns = qkv.dim(-1), length = qkv.dim(1), width = call.heads.width;
    const int64_t values = columns - call.heads.kv_channels();
    const T* in = qkv.data<T>();
    T* out = y.data<T>();
    parallel_blocks(qkv.rows(), std::max<int64_t>(1, (1 << 14) / columns),
                    [&](int64_t begin, int64_t end) HWY_ATTR {
                      for (int64_t r = begin; r < end; ++r) {
                        const T* from = in + r * columns;
                        T* to = out + r * columns;
                        call.each_head<Compute<T>>(r, length, [&](int64_t head, const auto& step) {
                          head_forward(from + head * width, step, to + head * width);
                        });
                        std::copy(from + values, from + columns, to + values);
                      }
                    });
  });
}

// Rows go in chunks that depend on the shape alone; each sums its dq_norm and dk_norm apart, and
// the chunks' sums are added in order.
void rotary_grad(const Array& dy, const Array& qkv, const Heads& heads, const HeadNorm& norm,
                 const Array& table, Array& dqkv, Array* dq_norm, Array* dk_norm) {
  const Call call{heads, norm, table};
  visit_dtype(dy.dtype(), "rotary_grad", [&](auto t) {
    using T = decltype(t);
    using A = Compute<T>;
    const int64_t columns = dy.dim(-1), rows = dy.rows(), width = call.heads.width;
    const int64_t values = columns - call.heads.kv_channels(), length = dy.dim(1);
    const int64_t chunk = std::max<int64_t>(16, (rows + 63) / 64);
    const int64_t chunks = (rows + chunk - 1) / chunk;
    const T *grad = dy.data<T>(), *in = call.norm.enabled ? qkv.data<T>() : grad;
    T* out = dqkv.data<T>();
    std::vector<A> sums(size_t(chunks * 2 * width), A(0));
    parallel_for(chunks, [&](int64_t c) HWY_ATTR {
      Scratch scratch(Scratch::bytes_for<A>(width));
      A *g = scratch.take<A>(width), *dq = sums.data() + c * 2 * width, *dk = dq + width;
      for (int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
        const int64_t row = r * columns;
        call.each_head<A>(r, length, [&](int64_t head, const HeadStep<A>& step) {
          const int64_t at = row + head * width;
          A* dw = step.weight ? (head < call.heads.n_head ? dq : dk) : nullptr;
          head_grad(grad + at, in + at, step, g, out + at, dw);
        });
        std::copy(grad + row + values, grad + row + columns, out + row + values);
      }
    });
    auto add_sums = [&](int64_t first, Array* to) {
      for (int64_t i = 0; to && i < width; ++i) {
        A sum = 0;
        for (int64_t c = 0; c < chunks; ++c) sum += sums[size_t(c * 2 * width + first + i)];
        to->data<A>()[i] += sum;
      }
    };
    add_sums(0, dq_norm);
    add_sums(width, dk_norm);
  });
}

}  // namespace
}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(rotary_forward);
HWY_EXPORT(rotary_grad);

namespace {

class CpuRotaryOps final : public RotaryOps {
 public:
  Array table(const Array& positions, int64_t T, int64_t width, const Rope& rope,
              DType dtype) override {
    const int64_t half = width / 2, B = positions.defined() ? positions.size() : 1;
    const int32_t* starts = positions.defined() ? positions.data<int32_t>() : nullptr;
    std::vector<double> speeds(static_cast<size_t>(half));
    for (int64_t i = 0; i < half; ++i)
      speeds[size_t(i)] = rope.scaled(std::pow(rope.theta, -2.0 * double(i) / double(width)));
    Array table({B, T, width}, dtype, RunningOn::device().value());
    visit_dtype(dtype, "rotary table", [&](auto t) {
      using A = decltype(t);
      A* out = table.data<A>();
      parallel_blocks(B * T, std::max<int64_t>(1, 512 / width), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const double position = double(starts ? starts[r / T] : 0) + double(r % T);
          for (int64_t i = 0; i < half; ++i) {
            const double angle = position * speeds[size_t(i)];
            out[r * width + i] = A(std::cos(angle));
            out[r * width + half + i] = A(std::sin(angle));
          }
        }
      });
    });
    return table;
  }

  Array forward(const Array& qkv, const Heads& heads, const HeadNorm& norm,
                const Array& table) override {
    Array y(qkv.shape(), qkv.dtype(), qkv.device());
    count_bytes(moved_bytes(y));
    HWY_DYNAMIC_DISPATCH(rotary_forward)(qkv, heads, summed(norm, qkv), table, y);
    return y;
  }

  Array grad(const Array& dy, const Array& qkv, const Heads& heads, const HeadNorm& norm,
             const Array& table, Array* dq_norm, Array* dk_norm) override {
    Array dqkv(dy.shape(), dy.dtype(), dy.device());
    count_bytes(moved_bytes(dqkv));
    for (Array* sum : {dq_norm, dk_norm}) {
      if (!sum) continue;
      if (!sum->defined()) *sum = zeros({heads.width}, sum_dtype(dy.dtype()), dy.device());
      sum->begin_write("rotary_grad");
    }
    HWY_DYNAMIC_DISPATCH(rotary_grad)
    (dy, qkv, heads, summed(norm, dy), table, dqkv, dq_norm, dk_norm);
    return dqkv;
  }

 private:
  // norm with its weights in the dtype of x's sums.
  static HeadNorm summed(const HeadNorm& norm, const Array& x) {
    const DType sums = sum_dtype(x.dtype());
    return {norm.enabled, norm.eps, in_dtype(norm.q, sums), in_dtype(norm.k, sums)};
  }
};

}  // namespace

RotaryOps& cpu_rotary() {
  static auto& operations = *new CpuRotaryOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
