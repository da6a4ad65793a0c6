#include <bit>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/cuda/kernels/sort.h"
#include "core/cuda/reductions.h"
#include "core/devices/check_positions.h"
#include "core/devices/costs.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::each;

template <class W, class T>
void gather(const int32_t* tokens, const W* wte, const W* wpe, const int32_t* positions,
            int64_t size, int64_t length, int64_t C, T* y) {
  using A = SumOf<T>;
  each("embedding", size, [=] __device__(int64_t i) {
    const int64_t r = i / C, c = i % C, b = r / length;
    const int64_t position = (positions ? positions[b] : 0) + r % length;
    const int64_t row = tokens ? tokens[r] : r;
    y[i] = wpe ? T(A(wte[row * C + c]) + A(wpe[position * C + c])) : T(A(wte[row * C + c]));
  });
}

// keys[i] = id in the upper half, i in the lower: sorted, places of one id are together and in
// order. What is past the n ids, up to a power of two, comes last.
void make_keys(const int32_t* ids, int64_t n, int64_t size, uint64_t* keys) {
  each("embedding_grad's keys", size, [=] __device__(int64_t i) {
    keys[i] = i < n ? uint64_t(uint32_t(ids[i])) << 32 | uint64_t(i) : ~uint64_t{0};
  });
}

constexpr int64_t group = 64;  // rows whose sum is taken in one go

__device__ inline int64_t id_of(uint64_t key) { return int64_t(key >> 32); }
__device__ inline int64_t place_of(uint64_t key) { return int64_t(key & 0xffffffffu); }

// sums[i]: the sum of the rows of dy whose keys follow i up to the next id, or to the next multiple
// of `group`; for every i where such a run begins.
template <class T, class A>
void sum_runs(const T* dy, const uint64_t* keys, int64_t n, int64_t C, A* sums) {
  each("embedding_grad's groups", n * C, [=] __device__(int64_t at) {
    const int64_t i = at / C, c = at % C, id = id_of(keys[i]);
    if (i % group != 0 && id_of(keys[i - 1]) == id) return;
    A sum = 0;
    for (int64_t j = i; j < n && id_of(keys[j]) == id && (j == i || j % group != 0); ++j)
      sum += A(dy[place_of(keys[j]) * C + c]);
    sums[at] = sum;
  });
}

// Adds to row id of dw the sums of its runs.
template <class A>
void add_runs(const A* sums, const uint64_t* keys, int64_t n, int64_t C, A* dw) {
  each("embedding_grad", n * C, [=] __device__(int64_t at) {
    const int64_t i = at / C, c = at % C, id = id_of(keys[i]);
    if (i != 0 && id_of(keys[i - 1]) == id) return;
    A total = sums[at];
    for (int64_t j = (i / group + 1) * group; j < n && id_of(keys[j]) == id; j += group)
      total += sums[j * C + c];
    dw[id * C + c] += total;
  });
}

// Adds row i of dy [n, C] to row ids[i] of dw [V, C].
void add_named_rows(const Array& dy, const Array& ids, Array& dw) {
  const DType dtype = sum_dtype(dy.dtype());
  if (!dw.defined()) dw = zeros(dw.shape(), dtype, dy.device());
  dw.begin_write("add_rows");
  const int64_t n = ids.size(), C = dw.dim(1);
  if (n == 0) return;
  const auto size = int64_t(std::bit_ceil(uint64_t(n)));
  const Array keys({size}, DType::f64, dy.device());  // 8 bytes each
  auto* key = static_cast<uint64_t*>(keys.address());
  make_keys(ids.data<int32_t>(), n, size, key);
  cuda::sort(key, size, cuda::stream());
  const Array sums({n, C}, dtype, dy.device());
  visit_dtype(dy.dtype(), "add_rows", [&](auto t) {
    using T = decltype(t);
    using A = SumOf<T>;
    sum_runs<T, A>(dy.data<T>(), key, n, C, sums.data<A>());
    add_runs<A>(sums.data<A>(), key, n, C, dw.data<A>());
  });
}

class CudaEmbeddingOps final : public EmbeddingOps {
 public:
  Array embedding(const Array& tokens, const Array& wte, const Array& wpe, const Array& positions,
                  DType dtype) override {
    check_positions(tokens, wpe, positions);
    return embedded(tokens, tokens.data<int32_t>(), wte, wpe, positions, dtype);
  }

  // The rows that are needed, once each place, as a table of their own.
  Array embedding(const Array& tokens, const PackedWeight& wte, const Array& wpe,
                  const Array& positions, DType dtype) override {
    check_positions(tokens, wpe, positions);
    const Array rows = backend(tokens)->packed.unpack_rows(wte, tokens);
    return embedded(tokens, nullptr, rows, wpe, positions, dtype);
  }

  // `ids` names the rows of wte; null: the i-th is that of the i-th place.
  static Array embedded(const Array& tokens, const int32_t* ids, const Array& wte, const Array& wpe,
                        const Array& positions, DType dtype) {
    const int64_t B = tokens.dim(0), T = tokens.dim(1), C = wte.dim(1);
    Array y({B, T, C}, dtype, wte.device());
    count_bytes(moved_bytes(y));
    const int32_t* first = positions.defined() ? positions.data<int32_t>() : nullptr;
    visit_dtype(wte.dtype(), "embedding", [&](auto w) {
      visit_dtype(dtype, "embedding", [&](auto t) {
        using W = decltype(w);
        gather<W, decltype(t)>(ids, wte.data<W>(), wpe.defined() ? wpe.data<W>() : nullptr, first,
                               y.size(), T, C, y.data<decltype(t)>());
      });
    });
    return y;
  }

  void embedding_grad(const Array& dy, const Array& tokens, Array& dwte, Array* dwpe) override {
    count_bytes(2 * moved_bytes(dy));
    const int64_t B = tokens.dim(0), T = tokens.dim(1), C = dy.dim(-1);
    add_named_rows(dy, tokens, dwte);
    if (!dwpe) return;
    const DType dtype = sum_dtype(dy.dtype());
    if (!dwpe->defined()) *dwpe = zeros(dwpe->shape(), dtype, dy.device());
    Array of_places = dwpe->slice(0, T);
    const Array sums = cuda::sum_axis(dy, 1, B, T * C).reshape({T, C});
    backend(dy)->elementwise.accumulate(of_places, sums);
  }

  void add_rows(const Array& dy, const Array& rows, Array& dx) override {
    count_bytes(moved_bytes(dy));
    add_named_rows(dy, rows, dx);
  }
};

}  // namespace

EmbeddingOps& cuda_embeddings() {
  static auto& operations = *new CudaEmbeddingOps;
  return operations;
}

}  // namespace folio
