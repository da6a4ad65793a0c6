#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/embeddings.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <numeric>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/scratch.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/check_positions.h"
#include "core/devices/costs.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

template <class W, class T>
void gather(const Array& tokens, const Array& wte, const Array& wpe,
            std::span<const int32_t> positions, Array& y) {
  const int64_t length = tokens.dim(1), C = wte.dim(1);
  const int32_t* ids = tokens.data<int32_t>();
  const W *embeddings = wte.data<W>(), *places = wpe.defined() ? wpe.data<W>() : nullptr;
  T* out = y.data<T>();
  Tag<T> d;
  parallel_blocks(tokens.size(), std::max<int64_t>(1, (1 << 14) / C),
                  [&](int64_t begin, int64_t end) HWY_ATTR {
                    for (int64_t r = begin; r < end; ++r) {
                      const int64_t b = r / length, t = r % length;
                      const int64_t position = (positions.empty() ? 0 : positions[size_t(b)]) + t;
                      const W* token = embeddings + ids[r] * C;
                      const W* place = places ? places + position * C : nullptr;
                      for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
                        const auto x = load(d, token + i, n);
                        store(place ? x + load(d, place + i, n) : x, out + r * C + i, n);
                      });
                    }
                  });
}

void embedding(const Array& tokens, const Array& wte, const Array& wpe,
               std::span<const int32_t> positions, Array& y) {
  visit_dtype(wte.dtype(), "embedding", [&](auto w) {
    visit_dtype(y.dtype(), "embedding", [&](auto t) {
      using W = decltype(w);
      using T = decltype(t);
      if constexpr (std::is_same_v<Compute<W>, Compute<T>>) {
        gather<W, T>(tokens, wte, wpe, positions, y);
      } else {
        fail("embedding: {} weights cannot give {}; cast them first", wte.dtype(), y.dtype());
      }
    });
  });
}

// Adds the sum of the rows of dy that `rows` names to out [C], in groups of 64 so that a common
// token's sum of thousands of rows loses nothing to rounding. group and total [C] are scratch.
template <class T, class A = Compute<T>>
void add_named_rows(const T* dy, std::span<const int32_t> rows, int64_t C, A* group, A* total,
                    A* out) {
  Tag<T> d;
  std::fill(total, total + C, A(0));
  for (size_t first = 0; first < rows.size(); first += 64) {
    std::fill(group, group + C, A(0));
    for (int32_t row : rows.subspan(first, std::min<size_t>(64, rows.size() - first))) {
      const T* from = dy + row * C;
      for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
        store(load(d, group + i, n) + load(d, from + i, n), group + i, n);
      });
    }
    for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
      store(load(d, total + i, n) + load(d, group + i, n), total + i, n);
    });
  }
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    store(load(d, out + i, n) + load(d, total + i, n), out + i, n);
  });
}

// Adds the sum over rows_of[start[v]] to rows_of[start[v + 1]] to row v of dw.
void embedding_grad(const Array& dy, const std::vector<int64_t>& start,
                    const std::vector<int32_t>& rows_of, Array& dw) {
  visit_dtype(dy.dtype(), "embedding_grad", [&](auto t) {
    using T = decltype(t);
    using A = Compute<T>;
    const int64_t V = dw.dim(0), C = dw.dim(1);
    const int64_t block = std::max<int64_t>(1, V / 1024);
    const T* grad = dy.data<T>();
    A* out = dw.data<A>();
    parallel_blocks(V, block, [&](int64_t begin, int64_t end) HWY_ATTR {
      Scratch scratch(2 * Scratch::bytes_for<A>(C));
      A *group = scratch.take<A>(C), *sum = scratch.take<A>(C);
      for (int64_t v = begin; v < end; ++v) {
        const auto first = size_t(start[size_t(v)]), last = size_t(start[size_t(v) + 1]);
        if (first == last) continue;
        add_named_rows(grad, std::span(rows_of).subspan(first, last - first), C, group, sum,
                       out + v * C);
      }
    });
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(embedding);
HWY_EXPORT(embedding_grad);

namespace {

// Adds row i of dy to row ids[i] of dw [V, C].
void add_named_rows(const Array& dy, std::span<const int32_t> ids, Array& dw) {
  if (!dw.defined()) dw = zeros(dw.shape(), sum_dtype(dy.dtype()), dy.device());
  dw.begin_write("embedding_grad");
  const auto V = size_t(dw.dim(0));
  // A counting sort of the places by id; places of one id stay in order.
  std::vector<int64_t> start(V + 1, 0);
  for (int32_t id : ids) ++start[size_t(id) + 1];
  for (size_t v = 0; v < V; ++v) start[v + 1] += start[v];
  std::vector<int64_t> next = start;
  std::vector<int32_t> rows_of(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) rows_of[size_t(next[size_t(ids[i])]++)] = int32_t(i);
  HWY_DYNAMIC_DISPATCH(embedding_grad)(dy, start, rows_of, dw);
}

class CpuEmbeddingOps final : public EmbeddingOps {
 public:
  Array embedding(const Array& tokens, const Array& wte, const Array& wpe, const Array& positions,
                  DType dtype) override {
    check_positions(tokens, wpe, positions);
    std::span<const int32_t> starts;
    if (positions.defined()) starts = {positions.data<int32_t>(), size_t(positions.size())};
    Array y({tokens.dim(0), tokens.dim(1), wte.dim(1)}, dtype, wte.device());
    count_bytes(moved_bytes(y));
    HWY_DYNAMIC_DISPATCH(embedding)(tokens, wte, wpe, starts, y);
    return y;
  }

  // The rows that are needed, once each place, as a table of their own.
  Array embedding(const Array& tokens, const PackedWeight& wte, const Array& wpe,
                  const Array& positions, DType dtype) override {
    std::vector<int32_t> places(size_t(tokens.size()));
    std::iota(places.begin(), places.end(), 0);
    return embedding(to_array(places, tokens.shape(), tokens.device()),
                     backend(tokens)->packed.unpack_rows(wte, tokens), wpe, positions, dtype);
  }

  void add_rows(const Array& dy, const Array& rows, Array& dx) override {
    count_bytes(moved_bytes(dy));
    add_named_rows(dy, {rows.data<int32_t>(), size_t(rows.size())}, dx);
  }

  void embedding_grad(const Array& dy, const Array& tokens, Array& dwte, Array* dwpe) override {
    count_bytes(2 * moved_bytes(dy));
    add_named_rows(dy, {tokens.data<int32_t>(), size_t(tokens.size())}, dwte);
    if (!dwpe) return;
    std::vector<int32_t> positions(size_t(tokens.size()));
    for (size_t i = 0; i < positions.size(); ++i) positions[i] = int32_t(i % size_t(tokens.dim(1)));
    add_named_rows(dy, positions, *dwpe);
  }
};

}  // namespace

EmbeddingOps& cpu_embeddings() {
  static auto& operations = *new CpuEmbeddingOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
