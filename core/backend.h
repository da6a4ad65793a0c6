#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/array.h"
#include "core/binary_ops.h"
#include "core/elementwise.h"
#include "core/machine.h"
#include "core/random.h"
#include "core/weight_format.h"

namespace folio {

struct LayerNormed {
  Array y;           // [..., C]
  Array mean, rstd;  // [rows], f32 (f64 for f64)
};
struct Attended {
  Array y;    // [B, T, C]
  Array lse;  // [B, H, T]: log sum exp of each query's scaled scores, f32 (f64 for f64)
};
struct CrossEntropy {
  Array loss;  // [], f32 (f64 for f64): factor times the mean over the targets that are not -1
  Array dx;    // [..., C], d loss / d x; undefined unless gradients were asked for
  Array dw;    // [V, C], f32 (f64 for f64), d loss / d w; likewise
};
struct MemoryUse {
  size_t live = 0;      // bytes that Arrays hold now
  size_t peak = 0;      // the most that they have held
  size_t reserved = 0;  // bytes taken from the system
  size_t limit = 0;     // bytes that Arrays can hold at all
};

// A weight [N, K] laid out for inference; only the Backend that packed it can read it. The layout
// of the quantised formats is the same wherever a Backend runs, so that `data` can go to a file:
// packed_layout numbers it (see core/cpu/packed_blocks.h) and changes whenever it does.
inline constexpr int64_t packed_layout = 1;
struct PackedWeight {
  Array data;
  int64_t n = 0, k = 0;
  WeightFormat format = WeightFormat::f32;
  bool defined() const { return data.defined(); }
};

// The keys and values of one layer for B sequences of up to T positions; the layout is the
// Backend's own, but dimension 0 of every array is the sequence. Under int8 an element of a head's
// key at one position is q scale, where q is an integer from -127 to 127 and scale, which `scales`
// keeps, the largest magnitude among that key's elements over 127; its value at that position
// likewise.
struct KvLayer {
  Array k, v;
  Array scales;          // f32; of no elements unless k and v are int8
  int64_t capacity = 0;  // T

  // A view of sequences [begin, end).
  KvLayer rows(int64_t begin, int64_t end) const {
    return {k.slice(begin, end), v.slice(begin, end), scales.slice(begin, end), capacity};
  }
  size_t bytes() const { return k.bytes() + v.bytes() + scales.bytes(); }
};

enum class Reduction { sum, max };
enum class Side { a, b };  // of an operation on two arrays

// One parameter as the optimiser sees it. All [n], f32 (or all f64).
struct AdamWSlot {
  Array param, grad, m, v;
  double weight_decay = 0;
};
struct AdamWStep {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  int64_t step = 1;  // counts from 1, for the bias correction
  Array grad_scale;  // [] f32: gradients are multiplied by it first; undefined: by 1
};

// What a device can do: everything above this contract is device-neutral. Unless said otherwise,
// `x` and activations are f64, f32 or bf16, the result is a new Array in the dtype of x, sums are
// kept in f32 (f64 for f64), and parameters (weights of layer_norm and embedding, biases) may be
// f32 under a bf16 x. The caller has checked the shapes, and that all Arrays are this device's; ids
// and targets are in range (see token_ids below). An optional Array may be undefined. Gradients of
// parameters are f32 (f64 for f64) and are added to what the caller alone owns; one without values,
// a shape alone or undefined, is made. One stream of work: calls take effect in order, and only
// those that give the host something (read, all_finite) wait for them.
//
// What every device promises:
// - Inference: a row of a result is the same bits whatever the other rows are, however many there
//   are, and however the tokens before it were split into calls.
// - Training: the same calls give the same bytes, run after run, on one kind of device. A sum may
//   be taken in an order that depends on the shapes, so two devices need not agree in the last
//   bits.
// - Dropout: which elements are dropped is core/random.h's function of the stream and the element's
//   index, the same on every device.
class Backend {
 public:
  virtual ~Backend() = default;

  // --- memory and layout
  virtual std::shared_ptr<Storage> allocate(size_t bytes) = 0;  // 64-byte aligned, from the cache
  virtual MemoryUse memory() const = 0;
  virtual void forget_peak_memory() = 0;                // memory().peak counts from now on
  virtual uint64_t available_memory() const = 0;        // bytes that Arrays may still take
  virtual void write(const void* host, Array& to) = 0;  // to.bytes() bytes from the host
  // The same bytes, which `produce` puts where it is told to: into the array's own memory, if the
  // host can write there.
  virtual void write(const std::function<void(void* host)>& produce, Array& to) = 0;
  virtual void read(const Array& from, void* host) = 0;  // from.bytes() bytes to the host
  virtual void fill(Array& x, double value) = 0;
  virtual void random_normal(Array& x, double mean, double std, RandomStream stream) = 0;
  virtual Array cast(const Array& x, DType dtype) = 0;  // always a copy
  // x with dimensions i and j, counted from 0, exchanged, in `dtype`.
  virtual Array transpose(const Array& x, int i, int j, DType dtype) = 0;
  // to[..., to_begin + l, ...] = from[..., from_begin + l, ...] for l in [0, n) of `axis`, counted
  // from 0. All other dimensions, and the dtype, are alike.
  virtual void copy_block(const Array& from, int64_t from_begin, Array& to, int64_t to_begin,
                          int64_t n, int axis) = 0;
  // The rows of x [R, C] that `rows` [N] i32, all in [0, R), names -> [N, C].
  virtual Array take_rows(const Array& x, const Array& rows) = 0;
  // Adds row i of dy [N, C] to row rows[i] of dx [R, C].
  virtual void add_rows(const Array& dy, const Array& rows, Array& dx) = 0;
  // x[..., ids[...]] of x [..., V]: an element a row, or 0 where the id (i32, below V) is -1. The
  // gradient, of x's `shape`, is dy at those elements and 0 elsewhere.
  virtual Array pick(const Array& x, const Array& ids) = 0;
  virtual Array pick_grad(const Array& dy, const Array& ids, const Shape& shape) = 0;
  // Whether x, of any dtype, holds neither NaN nor infinity.
  virtual bool all_finite(const Array& x) = 0;
  virtual bool all_finite(const PackedWeight& w) = 0;  // its scales included

  // --- elementwise
  virtual Array unary(Unary op, const Array& x) = 0;
  virtual Array unary_grad(Unary op, const Array& x, const Array& dy) = 0;  // dy * slope(x)
  // op(a, b) of one dtype, broadcast (core/shape.h). The gradient in the operand on `side`: dy
  // times the derivative, summed over the places to which that operand was repeated -> its shape.
  // Of an op that does not keep a and b their shapes are enough (Array::shape_only).
  virtual Array binary(Binary op, const Array& a, const Array& b) = 0;
  virtual Array binary_grad(Binary op, Side side, const Array& a, const Array& b,
                            const Array& dy) = 0;
  virtual Array add(const Array& a, const Array& b) = 0;     // dtype of a; b may be bf16 under f32
  virtual void accumulate(Array& into, const Array& x) = 0;  // into += x; dtypes may differ
  virtual void scale(Array& x, const Array& factor) = 0;  // x *= factor, a scalar of any float type
  virtual void scale(Array& x, double factor) = 0;
  // residual + dropout(x), in the dtype of `residual`, which is optional and may be f32 over bf16
  virtual Array add_dropout(const Array& residual, const Array& x, const Dropout& dropout) = 0;
  // dy with the same elements dropped and the rest scaled, in the dtype of what was dropped
  virtual Array dropout_grad(const Array& dy, const Dropout& dropout, DType dtype) = 0;

  // --- reductions, and functions of rows
  // Over `axis`, counted from 0, whose size becomes 1; a sum of nothing is 0, and a NaN the
  // largest.
  virtual Array reduce(Reduction op, const Array& x, int axis) = 0;
  // The gradient: dy to every place of the axis (sum; of x the shape is enough), or to the first at
  // which x is y, the result (max).
  virtual Array reduce_grad(Reduction op, const Array& x, const Array& y, const Array& dy,
                            int axis) = 0;
  // e^x / sum(e^x) over the last dimension, or with `log` its logarithm, and the gradient in x from
  // the result y.
  virtual Array softmax(const Array& x, bool log) = 0;
  virtual Array softmax_grad(const Array& y, const Array& dy, bool log) = 0;
  // x [..., T, S], S >= T, with `hidden` in place of x[..., t, s] for every s > S - T + t.
  virtual Array causal_mask(const Array& x, double hidden) = 0;

  // Over the last dimension, C: (x - mean) rstd w + b; b is optional. y and dy are in `dtype`: that
  // of x, or bf16 under an f32 x.
  virtual LayerNormed layer_norm(const Array& x, const Array& w, const Array& b, double eps,
                                 DType dtype) = 0;
  // -> dx in the dtype of x; adds to dw [C] and, if it is given, to db [C].
  virtual Array layer_norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                                const Array& rstd, Array& dw, Array* db = nullptr) = 0;

  // --- products
  // a b of each pair of matrices: a [..., M, K] ([..., K, M] if transposed), b [..., K, N] ([...,
  // N, K]), of one dtype; leading dimensions alike, or one side has none and its matrix is used for
  // all -> [..., M, N].
  virtual Array matmul(const Array& a, const Array& b, bool transpose_a, bool transpose_b) = 0;
  // act(x w^T + bias): x [..., K], w [N, K], bias [N] (optional) -> [..., N]. `act` may be
  // Unary::none; otherwise, if `pre` is given, it receives the sum before `act`.
  virtual Array linear(const Array& x, const Array& w, const Array& bias, Unary act = Unary::none,
                       Array* pre = nullptr) = 0;
  // dy w, times the slope of `act` at `pre` unless `act` is none: dy [..., N], w [N, K],
  // pre [..., K] -> [..., K]. If `post` is given it receives act(pre), which the caller needs for
  // dw.
  virtual Array linear_grad_x(const Array& dy, const Array& w, Unary act = Unary::none,
                              const Array& pre = {}, Array* post = nullptr) = 0;
  // Adds dy^T x to dw and, if it is given, the sum of dy's rows to db: dy [..., N], x [..., K],
  // dw [N, K], db [N].
  virtual void linear_grad_w(const Array& dy, const Array& x, Array& dw, Array* db = nullptr) = 0;
  // wte[tokens] + wpe[position]: tokens [B, T] i32, wte [V, C], wpe [P, C] -> [B, T, C] in `dtype`.
  // Row b's first position is positions[b], positions [B] i32, or 0 without `positions`.
  virtual Array embedding(const Array& tokens, const Array& wte, const Array& wpe,
                          const Array& positions, DType dtype) = 0;
  // Adds dy [B, T, C] to the rows of dwte [V, C] that `tokens` name, and to the rows of dwpe [P, C]
  // of positions 0 to T - 1.
  virtual void embedding_grad(const Array& dy, const Array& tokens, Array& dwte, Array& dwpe) = 0;

  // --- causal self-attention: qkv [B, T, 3C], heads of C / n_head, scores scaled by
  // 1/sqrt(C/n_head), dropout on the probabilities, element ((b H + h) T + query) T + key of
  // `dropout`. No [T, T] matrix is ever held. (Dao et al., "FlashAttention-2", 2023.)
  virtual Attended attention(const Array& qkv, int64_t n_head, const Dropout& dropout) = 0;
  virtual Array attention_grad(const Array& dy, const Array& qkv, const Attended& forward,
                               int64_t n_head, const Dropout& dropout) = 0;

  // --- loss: cross-entropy of logits x w^T against targets, logits never held whole.
  // x [..., C], w [V, C], targets [...] i32 (-1: ignored). With `with_grad`, dx and dw too.
  virtual CrossEntropy linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                            bool with_grad, double factor = 1) = 0;

  // --- optimiser
  // L2 norm of all elements together -> [] f32
  virtual Array norm(std::span<const Array> arrays) = 0;
  // min(1, limit / (norm + 1e-6)) as a scalar on the device: torch.nn.utils.clip_grad_norm_
  virtual Array clip_scale(const Array& norm, double limit) = 0;
  // Loshchilov & Hutter, "Decoupled weight decay regularization", 2019; one pass over every slot.
  virtual void adamw(std::span<const AdamWSlot> slots, const AdamWStep& step) = 0;

  // --- inference
  // w [N, K] in f32 (f64 stays f64), for bf16 weights also in bf16, laid out in `format`.
  virtual PackedWeight pack(const Array& w, WeightFormat format) = 0;
  // The int8 or int4 weight whose data this is; Error if it cannot be.
  virtual PackedWeight packed_from(const Array& data, int64_t N, int64_t K,
                                   WeightFormat format) = 0;
  // The rows of w that `rows` [M] i32 names, widened -> [M, K] in f32 (f64 for f64).
  virtual Array unpack_rows(const PackedWeight& w, const Array& rows) = 0;
  // act(x w^T + bias), as `linear`.
  virtual Array linear_packed(const Array& x, const PackedWeight& w, const Array& bias,
                              Unary act = Unary::none) = 0;
  // `embedding` and the mean of `linear_cross_entropy`, of a packed weight.
  virtual Array embedding(const Array& tokens, const PackedWeight& wte, const Array& wpe,
                          const Array& positions, DType dtype) = 0;
  virtual Array linear_cross_entropy(const Array& x, const PackedWeight& w,
                                     const Array& targets) = 0;
  // In f64 (for f64 activations alone), f32, bf16 or int8.
  virtual KvLayer make_kv_layer(int64_t B, int64_t T, int64_t C, int64_t n_head, DType dtype) = 0;
  // Appends the keys and values in qkv [B, T, 3C] to row b of `cache` from position positions[b]
  // on, positions [B] i32; query t attends to positions 0 to positions[b] + t -> [B, T, C].
  virtual Array attention_cached(const Array& qkv, int64_t n_head, KvLayer& cache,
                                 const Array& positions) = 0;
  // The first `length` positions of sequence `from_row` into sequence `to_row` of a cache for the
  // same heads in the same dtype, or of the same one; capacities may differ.
  virtual void copy_kv(const KvLayer& from, int64_t from_row, KvLayer& to, int64_t to_row,
                       int64_t length) = 0;

  // --- the machine: what it is and what it can do, the denominators of the shares that the benches
  // report
  virtual std::string machine_name() const = 0;  // "AMD EPYC 9R14, 2 threads, AVX3_ZEN4"
  // Of multiply-adds alone, measured now. About 0.3 s.
  virtual MachinePeak measure_peak() = 0;
  // Bytes a second, from memory larger than the caches, measured now; 0 if too little is free.
  virtual double measure_read_bandwidth() = 0;
};

// Adds a device of that name, which `backend` serves. To be called before other threads use any
// device; `backend` must outlive every Array.
Device register_backend(std::string name, Backend& backend);
// The backend of a device; Error if this build has none for it.
Backend& backend(Device device);
inline Backend& backend(const Array& x) { return backend(x.device()); }

// Host values in and out. Integers are looked at on the way in, for no kernel does: Array::id_range.
IdRange range_of(std::span<const int32_t> ids);
template <class T>
Array to_array(std::span<const T> values, Shape shape, Device device) {
  check(int64_t(values.size()) == shape.size(), "to_array: {} values for shape {}", values.size(),
        shape);
  Array array(shape, dtype_of<T>, device);
  backend(device).write(values.data(), array);
  if constexpr (std::is_same_v<T, int32_t>) array.set_id_range(range_of(values));
  return array;
}
template <class T>
Array to_array(const std::vector<T>& values, Shape shape, Device device) {
  return to_array(std::span<const T>(values), shape, device);
}
// Ids of a vocabulary from the host, i32. Error, which begins with `what`, for one that is not in
// [0, vocab_size).
Array token_ids(std::span<const int32_t> ids, Shape shape, int64_t vocab_size, Device device,
                std::string_view what);
// The same of the targets of a loss, of which -1 is ignored.
Array target_ids(std::span<const int32_t> ids, Shape shape, int64_t vocab_size, Device device,
                 std::string_view what);
template <class T>
std::vector<T> to_vector(const Array& array) {
  check(array.dtype() == dtype_of<T>, "to_vector: this array holds {}, not {}", array.dtype(),
        dtype_of<T>);
  std::vector<T> values(size_t(array.size()));
  backend(array).read(array, values.data());
  return values;
}
double item(const Array& scalar);  // the one element of a floating-point array
Array full(Shape shape, double value, DType dtype, Device device);
Array zeros(Shape shape, DType dtype, Device device);
// x itself if it is there already, else a copy.
Array to(const Array& x, Device device);

}  // namespace folio
