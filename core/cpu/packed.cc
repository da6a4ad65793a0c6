// The inference path's matrix product, over the kinds of tile in packed_gemm-inl.h,
// packed_pairs-inl.h, tiles/packed_tiles-inl.h and packed_blocks-inl.h. An element of the result is
// one chain of multiply-adds over k, whatever tile, row or thread it falls in, so that decoding a
// token gives the bits that a prefill of the same row would.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/packed.cc"
#include <hwy/foreach_target.h>
// The target must be known before these.
#include "core/cpu/cpu_backend.h"
#include "core/cpu/packed_blocks-inl.h"
#include "core/cpu/packed_gemm-inl.h"
#include "core/cpu/packed_pairs-inl.h"
#include "core/cpu/scratch.h"
#include "core/cpu/simd-inl.h"
#include "core/cpu/tiles/packed_tiles-inl.h"
#include "core/devices/check_packed.h"
#include "core/devices/sum_dtype.h"
#include "core/parallel.h"

#ifndef FOLIO_CORE_CPU_PACKED_GEMM_SHARED
#define FOLIO_CORE_CPU_PACKED_GEMM_SHARED
namespace folio {

inline void* panel_at(const PackedWeight& w, int64_t p) {
  return static_cast<char*>(w.data.address()) +
         size_t(p) * (w.data.bytes() / size_t(w.data.dim(0)));
}

// Into how many groups to cut the panels of a chunk, so that every thread has work worth waking it
// for and finishes with the others. It may depend on the threads: no sum is cut.
inline int64_t panel_groups(int64_t panels, int64_t multiply_adds, const RowBlocks& row) {
  constexpr int64_t worth_a_task = 1 << 15;  // about 2 us
  const int64_t tasks = parallel_threads() * (row.blocks == 1 ? 1 : 4);
  const int64_t wanted =
      std::min((tasks + row.chunks - 1) / row.chunks, multiply_adds / worth_a_task);
  return std::clamp<int64_t>(wanted, 1, panels);
}

}  // namespace folio
#endif

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// f(the kind of product that packed weights of `format` take part in); f64 weights are f32's kind.
template <class F>
decltype(auto) visit_product(WeightFormat format, DType dtype, int64_t K, F&& f) {
  if (format == WeightFormat::bf16) return f(PairProduct{{}, K});
  if (format == WeightFormat::int8) return f(BlockProduct<WeightFormat::int8>{{}, K});
  if (format == WeightFormat::int4) return f(BlockProduct<WeightFormat::int4>{{}, K});
  if (dtype == DType::f64) return f(PlainProduct<double>{{}, K});
  return f(PlainProduct<float>{{}, K});
}

PackedWeight pack_weight(const Array& w, WeightFormat format) {
  const int64_t N = w.dim(0), K = w.dim(1);
  return visit_product(format, w.dtype(), K, [&](auto product) {
    using Product = decltype(product);
    using T = typename Product::Sum;
    const DType dtype = format == WeightFormat::f32    ? w.dtype()
                        : format == WeightFormat::bf16 ? DType::bf16
                                                       : DType::i8;
    PackedWeight packed{Array(Product::shape(N, K), dtype, w.device()), N, K, format};
    const auto pack_from = [&](const auto* from) {
      parallel_for(packed.data.dim(0), [&](int64_t p) {
        const int64_t row = p * Product::panel;
        Product::pack_panel(from, row, std::min<int64_t>(Product::panel, N - row), K,
                            panel_at(packed, p));
      });
    };
    if constexpr (std::is_same_v<Product, PairProduct>) {
      if (w.dtype() == DType::bf16) {
        pack_from(w.data<bfloat16>());
        return packed;
      }
    }
    pack_from(w.data<T>());
    return packed;
  });
}

void unpack_rows(const PackedWeight& w, const int32_t* rows, Array& to) {
  visit_product(w.format, to.dtype(), w.k, [&](auto product) {
    using Product = decltype(product);
    using T = typename Product::Sum;
    T* out = to.data<T>();
    parallel_blocks(to.rows(), 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        product.unpack_row(panel_at(w, rows[i] / Product::panel), rows[i] % Product::panel,
                           out + i * w.k);
      }
    });
  });
}

// tile [rows, panel] = f(tile + bias).
template <class T, int panel, class F>
HWY_INLINE void add_bias_and(F&& f, T* tile, int64_t rows, const T* bias_panel) {
  const hn::CappedTag<T, panel> d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  for (int64_t i = 0; i < rows * panel; i += lanes) {
    const auto x = load(d, tile + i, Whole()) + load(d, bias_panel + i % panel, Whole());
    store(f(x), tile + i, Whole());
  }
}

// tile = act(tile + bias). Once for each type of the sums and width of a panel, as every op is
// compiled into it.
template <class T, int panel>
HWY_NOINLINE void add_bias_and_act(T* tile, int64_t rows, const T* bias_panel, Unary act) {
  visit_unary(act, [&](auto op) HWY_ATTR {
    add_bias_and<T, panel>([&](auto x) HWY_ATTR { return op.value(x); }, tile, rows, bias_panel);
  });
}

template <class T, int panel>
struct Epilogue {
  const Array& bias;  // [N] or undefined
  Unary act;

  // The panel's part of the bias, zeros past its end.
  void load_bias(int64_t column, int64_t columns, T* to) const {
    std::fill(to, to + panel, T(0));
    if (!bias.defined()) return;
    if (bias.dtype() == DType::bf16) {
      std::copy_n(bias.data<bfloat16>() + column, columns, to);
    } else {
      std::copy_n(bias.data<T>() + column, columns, to);
    }
  }

  // y = act(tile + bias), the first `columns` of each row; sums in whole vectors, so a row's last
  // elements are no special case.
  template <class Y>
  void operator()(T* tile, int64_t rows, const T* bias_panel, int64_t columns, Y* y,
                  int64_t N) const {
    if (act == Unary::none) {
      add_bias_and<T, panel>([](auto x) HWY_ATTR { return x; }, tile, rows, bias_panel);
    } else {
      add_bias_and_act<T, panel>(tile, rows, bias_panel, act);
    }
    const hn::CappedTag<T, panel> d;
    const int64_t lanes = int64_t(hn::Lanes(d));
    for (int64_t r = 0; r < rows; ++r, tile += panel, y += N) {
      if (columns == panel) {
        for (int64_t j = 0; j < panel; j += lanes)
          store(load(d, tile + j, Whole()), y + j, Whole());
      } else {
        for (int64_t j = 0; j < columns; ++j) y[j] = Y(tile[j]);
      }
    }
  }
};

// X is the type of x and y.
template <class Product, class X>
void multiply_as(const Product& product, const Array& x, const PackedWeight& w, const Array& bias,
                 Unary act, const Array& y) {
  using T = typename Product::Sum;
  using Row = typename Product::Row;
  using Panel = typename Product::Panel;
  constexpr int64_t panel = Product::panel;
  const int64_t N = w.n, K = w.k, panels = w.data.dim(0);
  const RowBlocks row(x.rows(), Product::max_rows, product.blocks_per_chunk());
  const Epilogue<T, panel> epilogue{bias, act};
  const int64_t groups = panel_groups(panels, row.rows * N * K, row);
  const int64_t block_size = Product::max_rows * product.row_size();
  parallel_for(row.chunks * groups, [&](int64_t task) HWY_ATTR {
    const int64_t group = task % groups, first = row.first_block(task / groups),
                  last = row.first_block(task / groups + 1);
    Scratch scratch(Scratch::bytes_for<Row>((last - first) * block_size) +
                    Scratch::bytes_for<Panel>(product.expanded_size()));
    Row* packed = scratch.take<Row>((last - first) * block_size);
    Panel* expanded = scratch.take<Panel>(product.expanded_size());
    for (int64_t b = first; b < last; ++b) {
      const int64_t i = row.begin(b);
      product.pack_rows(x.data<X>() + i * K, row.begin(b + 1) - i,
                        packed + (b - first) * block_size);
    }
    [[maybe_unused]] const auto session = product.session();
    alignas(64) T tile[Product::max_rows * panel], bias_panel[panel];
    for (int64_t p = panels * group / groups; p < panels * (group + 1) / groups; ++p) {
      const int64_t column = p * panel, columns = std::min(panel, N - column);
      epilogue.load_bias(column, columns, bias_panel);
      const void* weights = product.expand(panel_at(w, p), expanded);
      for (int64_t b = first; b < last; ++b) {
        const int64_t i = row.begin(b), rows = row.begin(b + 1) - i;
        product.multiply(rows, packed + (b - first) * block_size, weights, tile);
        epilogue(tile, rows, bias_panel, columns, y.data<X>() + i * N + column, N);
      }
    }
  });
}

// As visit_product, for a product of `rows` rows: by a matrix unit where there is one.
template <class F>
void visit_kernel(const PackedWeight& w, DType dtype, int64_t rows, F&& f) {
  if constexpr (TileProductOfPairs::fits) {
    using Int8 = TileProductOfBlocks<WeightFormat::int8>;
    using Int4 = TileProductOfBlocks<WeightFormat::int4>;
    const TileUnit* unit = tile_unit();
    if (unit && w.format == WeightFormat::bf16) return f(TileProductOfPairs{w.k, unit, rows});
    // The same bits, and fewer rows do without.
    const bool many = unit && rows > DotKernels::max_rows;
    if (many && w.format == WeightFormat::int8) return f(Int8{w.k, unit});
    if (many && w.format == WeightFormat::int4) return f(Int4{w.k, unit});
  }
  visit_product(w.format, dtype, w.k, f);
}

void multiply_packed(const Array& x, const PackedWeight& w, const Array& bias, Unary act,
                     const Array& y) {
  visit_kernel(w, x.dtype(), x.rows(), [&](auto product) {
    using Product = decltype(product);
    if constexpr (std::is_same_v<typename Product::Sum, double>) {
      multiply_as<Product, double>(product, x, w, bias, act, y);
    } else if (x.dtype() == DType::bf16) {
      multiply_as<Product, bfloat16>(product, x, w, bias, act, y);
    } else {
      multiply_as<Product, float>(product, x, w, bias, act, y);
    }
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {

HWY_EXPORT(pack_weight);
HWY_EXPORT(unpack_rows);
HWY_EXPORT(multiply_packed);

namespace {

class CpuPackedOps final : public PackedOps {
 public:
  PackedWeight pack(const Array& w, WeightFormat format) override {
    check_pack(w, format);
    return HWY_DYNAMIC_DISPATCH(pack_weight)(w, format);
  }

  PackedWeight from_data(const Array& data, int64_t N, int64_t K, WeightFormat format) override {
    check_packed_data(data, N, K, format);
    return {data, N, K, format};
  }

  Array unpack_rows(const PackedWeight& w, const Array& rows) override {
    Array to({rows.size(), w.k}, sum_dtype(w.data.dtype()), rows.device());
    HWY_DYNAMIC_DISPATCH(unpack_rows)(w, rows.data<int32_t>(), to);
    return to;
  }

  Array linear(const Array& x, const PackedWeight& w, const Array& bias, Unary act) override {
    Array y = unset_linear_packed(x, w);
    if (y.size() > 0) HWY_DYNAMIC_DISPATCH(multiply_packed)(x, w, bias, act, y);
    return y;
  }
};

}  // namespace

PackedOps& cpu_packed() {
  static auto& operations = *new CpuPackedOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
