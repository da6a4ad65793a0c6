#include "tests/guarded_backend.h"

#include <vector>

#include "tests/guarded_memory.h"

namespace folio {
namespace {

// Every call to the CPU's backend, over what the memory shows it of the arguments.
class GuardedBackend final : public Backend, private GuardedMemory {
 public:
  static GuardedBackend& instance() {
    static GuardedBackend& backend = *new GuardedBackend;  // outlives every Array
    return backend;
  }
  using GuardedMemory::device;

  // --- memory
  std::shared_ptr<Storage> allocate(size_t bytes) override { return take(bytes); }
  MemoryUse memory() const override { return allocator().use(); }
  void forget_peak_memory() override { allocator().forget_peak(); }
  uint64_t available_memory() const override { return cpu().available_memory(); }
  void write(const void* host, Array& to) override {
    run([&](Array x) { cpu().write(host, x); }, to);
  }
  // The host cannot write there: through memory of its own.
  void write(const std::function<void(void* host)>& produce, Array& to) override {
    std::vector<char> bytes(to.bytes());
    if (!bytes.empty()) produce(bytes.data());
    write(bytes.data(), to);
  }
  void read(const Array& from, void* host) override {
    run([&](Array x) { cpu().read(x, host); }, from);
  }
  void fill(Array& x, double value) override {
    run([&](Array to) { cpu().fill(to, value); }, x);
  }
  Array cast(const Array& x, DType dtype) override {
    return run([&](auto x) { return cpu().cast(x, dtype); }, x);
  }
  Array transpose(const Array& x, int i, int j, DType dtype) override {
    return run([&](auto x) { return cpu().transpose(x, i, j, dtype); }, x);
  }
  void copy_block(const Array& from, int64_t from_begin, Array& to, int64_t to_begin, int64_t n,
                  int axis) override {
    run([&](auto from, Array to) { cpu().copy_block(from, from_begin, to, to_begin, n, axis); },
        from, to);
  }
  Array take_rows(const Array& x, const Array& rows) override {
    return run([&](auto x, auto rows) { return cpu().take_rows(x, rows); }, x, rows);
  }
  void add_rows(const Array& dy, const Array& rows, Array& dx) override {
    run([&](auto dy, auto rows) { with_sum(dx, [&](Array& dx) { cpu().add_rows(dy, rows, dx); }); },
        dy, rows);
  }
  Array pick(const Array& x, const Array& ids) override {
    return run([&](auto x, auto ids) { return cpu().pick(x, ids); }, x, ids);
  }
  Array pick_grad(const Array& dy, const Array& ids, const Shape& shape) override {
    return run([&](auto dy, auto ids) { return cpu().pick_grad(dy, ids, shape); }, dy, ids);
  }
  bool all_finite(const Array& x) override {
    return run([&](auto x) { return cpu().all_finite(x); }, x);
  }
  bool all_finite(const PackedWeight& w) override {
    return run([&](auto w) { return cpu().all_finite(w); }, w);
  }

  // --- random numbers
  void random_normal(Array& x, double mean, double std, RandomStream stream) override {
    run([&](Array to) { cpu().random_normal(to, mean, std, stream); }, x);
  }

  // --- elementwise
  Array unary(Unary op, const Array& x) override {
    return run([&](auto x) { return cpu().unary(op, x); }, x);
  }
  Array unary_grad(Unary op, const Array& x, const Array& dy) override {
    return run([&](auto x, auto dy) { return cpu().unary_grad(op, x, dy); }, x, dy);
  }
  Array binary(Binary op, const Array& a, const Array& b) override {
    return run([&](auto a, auto b) { return cpu().binary(op, a, b); }, a, b);
  }
  Array binary_grad(Binary op, Side side, const Array& a, const Array& b,
                    const Array& dy) override {
    return run([&](auto a, auto b, auto dy) { return cpu().binary_grad(op, side, a, b, dy); }, a, b,
               dy);
  }
  Array add(const Array& a, const Array& b) override {
    return run([&](auto a, auto b) { return cpu().add(a, b); }, a, b);
  }
  void accumulate(Array& into, const Array& x) override {
    run([&](Array into, auto x) { cpu().accumulate(into, x); }, into, x);
  }
  void scale(Array& x, const Array& factor) override {
    run([&](Array x, auto factor) { cpu().scale(x, factor); }, x, factor);
  }
  void scale(Array& x, double factor) override {
    run([&](Array x) { cpu().scale(x, factor); }, x);
  }
  Array add_dropout(const Array& residual, const Array& x, const Dropout& dropout) override {
    return run([&](auto residual, auto x) { return cpu().add_dropout(residual, x, dropout); },
               residual, x);
  }
  Array dropout_grad(const Array& dy, const Dropout& dropout, DType dtype) override {
    return run([&](auto dy) { return cpu().dropout_grad(dy, dropout, dtype); }, dy);
  }

  // --- reductions and rows
  Array reduce(Reduction op, const Array& x, int axis) override {
    return run([&](auto x) { return cpu().reduce(op, x, axis); }, x);
  }
  Array reduce_grad(Reduction op, const Array& x, const Array& y, const Array& dy,
                    int axis) override {
    return run([&](auto x, auto y, auto dy) { return cpu().reduce_grad(op, x, y, dy, axis); }, x, y,
               dy);
  }
  Array softmax(const Array& x, bool log) override {
    return run([&](auto x) { return cpu().softmax(x, log); }, x);
  }
  Array softmax_grad(const Array& y, const Array& dy, bool log) override {
    return run([&](auto y, auto dy) { return cpu().softmax_grad(y, dy, log); }, y, dy);
  }
  Array causal_mask(const Array& x, double hidden) override {
    return run([&](auto x) { return cpu().causal_mask(x, hidden); }, x);
  }

  // --- matrices
  Array matmul(const Array& a, const Array& b, bool transpose_a, bool transpose_b) override {
    return run([&](auto a, auto b) { return cpu().matmul(a, b, transpose_a, transpose_b); }, a, b);
  }
  Array linear(const Array& x, const Array& w, const Array& bias, Unary act, Array* pre) override {
    return run(
        [&](auto x, auto w, auto bias) {
          return with_second(pre, [&](Array* pre) { return cpu().linear(x, w, bias, act, pre); });
        },
        x, w, bias);
  }
  Array linear_grad_x(const Array& dy, const Array& w, Unary act, const Array& pre,
                      Array* post) override {
    return run(
        [&](auto dy, auto w, auto pre) {
          return with_second(
              post, [&](Array* post) { return cpu().linear_grad_x(dy, w, act, pre, post); });
        },
        dy, w, pre);
  }
  void linear_grad_w(const Array& dy, const Array& x, Array& dw, Array* db) override {
    run(
        [&](auto dy, auto x) {
          with_sum(dw, [&](Array& dw) {
            with_optional_sum(db, [&](Array* db) { cpu().linear_grad_w(dy, x, dw, db); });
          });
        },
        dy, x);
  }
  PackedWeight pack(const Array& w, WeightFormat format) override {
    return run([&](auto w) { return cpu().pack(w, format); }, w);
  }
  PackedWeight packed_from(const Array& data, int64_t N, int64_t K, WeightFormat format) override {
    PackedWeight weight;
    run([&](auto seen) { weight = cpu().packed_from(seen, N, K, format); }, data);
    weight.data = data;
    return weight;
  }
  Array unpack_rows(const PackedWeight& w, const Array& rows) override {
    return run([&](auto w, auto rows) { return cpu().unpack_rows(w, rows); }, w, rows);
  }
  Array linear_packed(const Array& x, const PackedWeight& w, const Array& bias,
                      Unary act) override {
    return run([&](auto x, auto w, auto bias) { return cpu().linear_packed(x, w, bias, act); }, x,
               w, bias);
  }

  // --- layer norm
  LayerNormed layer_norm(const Array& x, const Array& w, const Array& b, double eps,
                         DType dtype) override {
    return run([&](auto x, auto w, auto b) { return cpu().layer_norm(x, w, b, eps, dtype); }, x, w,
               b);
  }
  Array layer_norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                        const Array& rstd, Array& dw, Array* db) override {
    return run(
        [&](auto dy, auto x, auto w, auto mean, auto rstd) {
          Array dx;
          with_sum(dw, [&](Array& dw) {
            with_optional_sum(
                db, [&](Array* db) { dx = cpu().layer_norm_grad(dy, x, w, mean, rstd, dw, db); });
          });
          return dx;
        },
        dy, x, w, mean, rstd);
  }

  // --- embedding
  Array embedding(const Array& tokens, const Array& wte, const Array& wpe, const Array& positions,
                  DType dtype) override {
    return run([&](auto tokens, auto wte, auto wpe,
                   auto positions) { return cpu().embedding(tokens, wte, wpe, positions, dtype); },
               tokens, wte, wpe, positions);
  }
  Array embedding(const Array& tokens, const PackedWeight& wte, const Array& wpe,
                  const Array& positions, DType dtype) override {
    return run([&](auto tokens, auto wte, auto wpe,
                   auto positions) { return cpu().embedding(tokens, wte, wpe, positions, dtype); },
               tokens, wte, wpe, positions);
  }
  void embedding_grad(const Array& dy, const Array& tokens, Array& dwte, Array& dwpe) override {
    run(
        [&](auto dy, auto tokens) {
          with_sum(dwte, [&](Array& dwte) {
            with_sum(dwpe, [&](Array& dwpe) { cpu().embedding_grad(dy, tokens, dwte, dwpe); });
          });
        },
        dy, tokens);
  }

  // --- attention
  Attended attention(const Array& qkv, int64_t n_head, const Dropout& dropout) override {
    return run([&](auto qkv) { return cpu().attention(qkv, n_head, dropout); }, qkv);
  }
  Array attention_grad(const Array& dy, const Array& qkv, const Attended& forward, int64_t n_head,
                       const Dropout& dropout) override {
    return run(
        [&](auto dy, auto qkv, auto y, auto lse) {
          return cpu().attention_grad(dy, qkv, {y, lse}, n_head, dropout);
        },
        dy, qkv, forward.y, forward.lse);
  }
  KvLayer make_kv_layer(int64_t B, int64_t T, int64_t C, int64_t n_head, DType dtype) override {
    return run([&] { return cpu().make_kv_layer(B, T, C, n_head, dtype); });
  }
  Array attention_cached(const Array& qkv, int64_t n_head, KvLayer& cache,
                         const Array& positions) override {
    return run(
        [&](auto qkv, KvLayer cache, auto positions) {
          return cpu().attention_cached(qkv, n_head, cache, positions);
        },
        qkv, cache, positions);
  }
  void copy_kv(const KvLayer& from, int64_t from_row, KvLayer& to, int64_t to_row,
               int64_t length) override {
    run([&](auto from, KvLayer to) { cpu().copy_kv(from, from_row, to, to_row, length); }, from,
        to);
  }

  // --- loss
  CrossEntropy linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                    bool with_grad, double factor) override {
    return run(
        [&](auto x, auto w, auto targets) {
          return cpu().linear_cross_entropy(x, w, targets, with_grad, factor);
        },
        x, w, targets);
  }
  Array linear_cross_entropy(const Array& x, const PackedWeight& w, const Array& targets) override {
    return run(
        [&](auto x, auto w, auto targets) { return cpu().linear_cross_entropy(x, w, targets); }, x,
        w, targets);
  }

  // --- optimiser
  Array norm(std::span<const Array> arrays) override {
    return run([&] {
      std::vector<Array> seen;
      for (const Array& array : arrays) seen.push_back(seen_by_cpu(array));
      return cpu().norm(seen);
    });
  }
  Array clip_scale(const Array& norm, double limit) override {
    return run([&](auto norm) { return cpu().clip_scale(norm, limit); }, norm);
  }
  void adamw(std::span<const AdamWSlot> slots, const AdamWStep& step) override {
    run(
        [&](auto grad_scale) {
          std::vector<AdamWSlot> seen(slots.begin(), slots.end());
          for (AdamWSlot& slot : seen)
            for (Array* array : {&slot.param, &slot.grad, &slot.m, &slot.v})
              *array = seen_by_cpu(*array);
          AdamWStep of_cpu = step;
          of_cpu.grad_scale = grad_scale;
          cpu().adamw(seen, of_cpu);
        },
        step.grad_scale);
  }

  // --- the machine
  std::string machine_name() const override { return cpu().machine_name(); }
  MachinePeak measure_peak() override { return cpu().measure_peak(); }
  double measure_read_bandwidth() override { return cpu().measure_read_bandwidth(); }

 private:
  GuardedBackend() : GuardedMemory(register_backend("guarded", *this)) {}
};

}  // namespace

Device guarded_device() { return GuardedBackend::instance().device(); }

}  // namespace folio
