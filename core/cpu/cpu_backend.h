#pragma once
#include "core/backend.h"
#include "core/cpu/system_pages.h"

namespace folio {

// The CPU's implementation of the contract in core/backend.h. Results do not depend on the number
// of threads. One .cc file a group of operations: memory.cc, layout.cc, random.cc, elementwise.cc,
// binary.cc, reduce.cc, softmax.cc, matmul.cc, linear.cc, packed_gemm.cc, layer_norm.cc,
// embedding.cc, attention.cc, attention_grad.cc, attention_cached.cc, cross_entropy.cc,
// optimizer.cc, finite.cc, machine.cc.
class CpuBackend final : public Backend {
 public:
  std::shared_ptr<Storage> allocate(size_t bytes) override;
  MemoryUse memory() const override;
  void forget_peak_memory() override;
  uint64_t available_memory() const override;
  void write(const void* host, Array& to) override;
  void write(const std::function<void(void* host)>& produce, Array& to) override;
  void read(const Array& from, void* host) override;
  void fill(Array& x, double value) override;
  Array cast(const Array& x, DType dtype) override;
  Array transpose(const Array& x, int i, int j, DType dtype) override;
  void copy_block(const Array& from, int64_t from_begin, Array& to, int64_t to_begin, int64_t n,
                  int axis) override;
  Array take_rows(const Array& x, const Array& rows) override;
  void add_rows(const Array& dy, const Array& rows, Array& dx) override;
  Array pick(const Array& x, const Array& ids) override;
  Array pick_grad(const Array& dy, const Array& ids, const Shape& shape) override;
  bool all_finite(const Array& x) override;
  bool all_finite(const PackedWeight& w) override;
  void random_normal(Array& x, double mean, double std, RandomStream stream) override;
  Array unary(Unary op, const Array& x) override;
  Array unary_grad(Unary op, const Array& x, const Array& dy) override;
  Array binary(Binary op, const Array& a, const Array& b) override;
  Array binary_grad(Binary op, Side side, const Array& a, const Array& b, const Array& dy) override;
  Array add(const Array& a, const Array& b) override;
  void accumulate(Array& into, const Array& x) override;
  void scale(Array& x, const Array& factor) override;
  void scale(Array& x, double factor) override;
  Array add_dropout(const Array& residual, const Array& x, const Dropout& dropout) override;
  Array dropout_grad(const Array& dy, const Dropout& dropout, DType dtype) override;
  Array reduce(Reduction op, const Array& x, int axis) override;
  Array reduce_grad(Reduction op, const Array& x, const Array& y, const Array& dy,
                    int axis) override;
  Array softmax(const Array& x, bool log) override;
  Array softmax_grad(const Array& y, const Array& dy, bool log) override;
  Array causal_mask(const Array& x, double hidden) override;
  Array matmul(const Array& a, const Array& b, bool transpose_a, bool transpose_b) override;
  Array linear(const Array& x, const Array& w, const Array& bias, Unary act, Array* pre) override;
  Array linear_grad_x(const Array& dy, const Array& w, Unary act, const Array& pre,
                      Array* post) override;
  void linear_grad_w(const Array& dy, const Array& x, Array& dw, Array* db) override;
  PackedWeight pack(const Array& w, WeightFormat format) override;
  PackedWeight packed_from(const Array& data, int64_t N, int64_t K, WeightFormat format) override;
  Array unpack_rows(const PackedWeight& w, const Array& rows) override;
  Array linear_packed(const Array& x, const PackedWeight& w, const Array& bias, Unary act) override;
  LayerNormed layer_norm(const Array& x, const Array& w, const Array& b, double eps,
                         DType dtype) override;
  Array layer_norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                        const Array& rstd, Array& dw, Array* db) override;
  Array embedding(const Array& tokens, const Array& wte, const Array& wpe, const Array& positions,
                  DType dtype) override;
  Array embedding(const Array& tokens, const PackedWeight& wte, const Array& wpe,
                  const Array& positions, DType dtype) override;
  void embedding_grad(const Array& dy, const Array& tokens, Array& dwte, Array& dwpe) override;
  Attended attention(const Array& qkv, int64_t n_head, const Dropout& dropout) override;
  Array attention_grad(const Array& dy, const Array& qkv, const Attended& forward, int64_t n_head,
                       const Dropout& dropout) override;
  KvLayer make_kv_layer(int64_t B, int64_t T, int64_t C, int64_t n_head, DType dtype) override;
  Array attention_cached(const Array& qkv, int64_t n_head, KvLayer& cache,
                         const Array& positions) override;
  void copy_kv(const KvLayer& from, int64_t from_row, KvLayer& to, int64_t to_row,
               int64_t length) override;
  CrossEntropy linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                    bool with_grad, double factor) override;
  Array linear_cross_entropy(const Array& x, const PackedWeight& w, const Array& targets) override;
  Array norm(std::span<const Array> arrays) override;
  Array clip_scale(const Array& norm, double limit) override;
  void adamw(std::span<const AdamWSlot> slots, const AdamWStep& step) override;
  std::string machine_name() const override;
  MachinePeak measure_peak() override;
  double measure_read_bandwidth() override;

 private:
  CachingAllocator allocator_{std::make_unique<SystemPages>()};
};

Backend& cpu_backend();

}  // namespace folio
