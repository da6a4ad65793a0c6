// How attention's products are computed; compiled once per SIMD target, hence the toggled guard.
#if defined(FOLIO_CORE_CPU_ATTENTION_MATH_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_ATTENTION_MATH_INL_H
#undef FOLIO_CORE_CPU_ATTENTION_MATH_INL_H
#else
#define FOLIO_CORE_CPU_ATTENTION_MATH_INL_H
#endif

#include "core/cpu/attention-inl.h"
#include "core/cpu/dot_kernels.h"
#include "core/cpu/simd-inl.h"
#include "core/cpu/tiles/tile_unit.h"

// A Math says in what the operands of a product C = A B are held: `Element` is `group` neighbours
// in the depth of the product, and sums are `Sum`. A matrix [n, width] is laid out
//   as rows   [n, width / group], to be A, or transposed to be B, where its width is the depth;
//   as stack  [n / group, width], to be B, or transposed to be A, where n is the depth.
HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// Numbers as they are: both layouts are the matrix itself.
template <class F>
struct Plain {
  using Sum = F;
  using Element = F;
  static constexpr int64_t group = 1;
  static constexpr bool by_tiles = false;
  static constexpr int64_t width_unit = max_lanes;  // widths are padded to multiples of it

  // Rows of E, `stride` apart -> padded with zeros to [rows_padded, width_padded].
  template <class E>
  static void load_rows(const E* from, int64_t stride, int64_t rows, int64_t width, F* to,
                        int64_t rows_padded, int64_t width_padded) {
    pack_rows(from, stride, rows, width, F(1), to, rows_padded, width_padded);
  }
  template <class E>
  static void load_stack(const E* from, int64_t stride, int64_t rows, int64_t width, F* to,
                         int64_t rows_padded, int64_t width_padded) {
    load_rows(from, stride, rows, width, to, rows_padded, width_padded);
  }
  // Column i of a row; of two neighbouring rows, the first of them even.
  template <class V>
  static HWY_INLINE void store_row(V x, F* row, int64_t i) {
    hn::StoreU(x, Lanes<F>(), row + i);
  }
  template <class V>
  static HWY_INLINE void store_stack(V even, V odd, F* stack, int64_t stride, int64_t row,
                                     int64_t i) {
    hn::StoreU(even, Lanes<F>(), stack + row * stride + i);
    hn::StoreU(odd, Lanes<F>(), stack + (row + 1) * stride + i);
  }
  // C [8, columns] (+)= A B, `depth` elements deep.
  static HWY_INLINE void multiply(Broadcast<F> a, const F* b, int64_t b_stride, F* c,
                                  int64_t c_stride, int64_t columns, int64_t depth,
                                  bool accumulate) {
    multiply_8(a, b, b_stride, c, c_stride, columns, depth, accumulate);
  }
};

#if HWY_TARGET != HWY_SCALAR
// bfloat16 by the processor's dot products of pairs: twice the multiply-adds of Plain<float>. Lanes
// must be 16. The even neighbour is the low half.
struct Pairs {
  using Sum = float;
  using Element = uint32_t;
  static constexpr int64_t group = 2;
  static constexpr bool by_tiles = false;
  static constexpr int64_t width_unit = max_lanes;

  static bool available() {
    return hn::Lanes(Lanes<float>()) == max_lanes && dot_kernels().product_16;
  }
  static void load_rows(const bfloat16* from, int64_t stride, int64_t rows, int64_t width,
                        uint32_t* to, int64_t rows_padded, int64_t width_padded) {
    auto* row = reinterpret_cast<bfloat16*>(to);
    for (int64_t r = 0; r < rows; ++r, row += width_padded) {
      std::copy_n(from + r * stride, width, row);
      std::fill(row + width, row + width_padded, bfloat16());
    }
    std::fill_n(row, (rows_padded - rows) * width_padded, bfloat16());
  }
  static void load_stack(const bfloat16* from, int64_t stride, int64_t rows, int64_t width,
                         uint32_t* to, int64_t rows_padded, int64_t width_padded) {
    for (int64_t r = 0; r < rows; r += 2, to += width_padded) {
      const bfloat16 *even = from + r * stride, *odd = even + stride;
      if (r + 1 < rows) {
        for (int64_t c = 0; c < width; ++c) to[c] = pair_of(even[c], odd[c]);
      } else {
        for (int64_t c = 0; c < width; ++c) to[c] = pair_of(even[c], bfloat16());
      }
      std::fill(to + width, to + width_padded, 0);
    }
    std::fill_n(to, (rows_padded - rows) / 2 * width_padded, 0);
  }
  template <class V>
  static HWY_INLINE void store_row(V x, uint32_t* row, int64_t i) {
    store(Simd<Lanes<float>>(x), reinterpret_cast<bfloat16*>(row) + i, Whole());
  }
  template <class V>
  static HWY_INLINE void store_stack(V even, V odd, uint32_t* stack, int64_t stride, int64_t row,
                                     int64_t i) {
    const Lanes<float> d;
    const hn::RebindToUnsigned<Lanes<float>> d32;
    auto low = hn::ShiftRight<16>(bf16_bits(d, even));
    auto high = hn::And(bf16_bits(d, odd), hn::Set(d32, 0xffff0000u));
    hn::StoreU(hn::Or(low, high), d32, stack + row / 2 * stride + i);
  }
  static HWY_INLINE void multiply(Broadcast<uint32_t> a, const uint32_t* b, int64_t b_stride,
                                  float* c, int64_t c_stride, int64_t columns, int64_t depth,
                                  bool accumulate) {
    const DotKernels& kernels = dot_kernels();
    DotKernels::PairsProduct product{a.at, a.row,    a.depth, b,         b_stride,
                                     c,    c_stride, depth,   accumulate};
    int64_t j = 0;
    for (; j + 32 <= columns; j += 32, product.b += 32, product.c += 32)
      kernels.product_32(product);
    if (j < columns) kernels.product_16(product);
  }
};

// The same layouts for a matrix unit, which takes larger pieces: see tiles/attention_tiles-inl.h.
struct TilePairs : Pairs {
  static constexpr bool by_tiles = true;
  static constexpr int64_t width_unit = tile_depth;

  static bool available() { return hn::Lanes(Lanes<float>()) == max_lanes && tile_unit(); }
};
#endif

// f(Math(), E()) for activations of type E.
template <class F>
auto visit_math(DType dtype, F&& f) {
  if (dtype == DType::f64) return f(Plain<double>(), double());
  if (dtype == DType::f32) return f(Plain<float>(), float());
#if HWY_TARGET != HWY_SCALAR
  if (TilePairs::available()) return f(TilePairs(), bfloat16());
  if (Pairs::available()) return f(Pairs(), bfloat16());
#endif
  return f(Plain<float>(), bfloat16());
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
