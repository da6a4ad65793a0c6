#include "tests/guarded_backend.h"

#include <sys/mman.h>

#include <cstring>
#include <mutex>
#include <vector>

#include "core/allocator.h"
#include "core/backend.h"

namespace folio {
namespace {

// Memory that is closed but while somebody holds it open.
class GuardedPages final : public Pages {
 public:
  GuardedPages() {
    void* range =
        mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(range != MAP_FAILED, "guarded: cannot reserve {} bytes of address space", bytes);
    base_ = static_cast<char*>(range);
  }

  char* base() const override { return base_; }
  size_t limit() const override { return bytes; }
  std::string grow(size_t end) override {
    if (end > bytes) return fmt::format("at the most {} bytes on the guarded device", bytes);
    std::lock_guard lock(mutex_);
    if (end <= end_) return "";
    end_ = std::min(bytes, (end + step - 1) / step * step);
    if (open_ > 0) protect(PROT_READ | PROT_WRITE);
    return "";
  }
  void open() {
    std::lock_guard lock(mutex_);
    if (open_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    std::lock_guard lock(mutex_);
    if (--open_ == 0) protect(PROT_NONE);
  }

 private:
  static constexpr size_t bytes = size_t{64} << 30, step = size_t{1} << 20;

  void protect(int how) {
    if (end_ == 0 || mprotect(base_, end_, how) == 0) return;
    std::perror("guarded: mprotect");
    std::abort();
  }

  char* base_ = nullptr;
  size_t end_ = 0;  // of what has been handed out
  int open_ = 0;    // calls that run
  std::mutex mutex_;
};

class GuardedBackend final : public Backend {
  GuardedBackend() : device_(register_backend("guarded", *this)) {}

  // Calls f with what the CPU sees of `arguments` while the memory is open, and keeps its result on
  // this device.
  template <class F, class... Arguments>
  auto run(F&& f, const Arguments&... arguments) {
    struct Open {
      explicit Open(GuardedPages& pages) : pages(pages) { pages.open(); }
      ~Open() { pages.close(); }
      GuardedPages& pages;
    } open(pages_);
    if constexpr (std::is_void_v<decltype(f(seen_by_cpu(arguments)...))>) {
      f(seen_by_cpu(arguments)...);
    } else {
      return kept(f(seen_by_cpu(arguments)...));
    }
  }

  // call(second), which may leave a second result in *second, kept in `out`; null wants none.
  template <class F>
  Array with_second(Array* out, F&& call) {
    if (!out) return call(nullptr);
    Array second;
    Array first = call(&second);
    *out = kept(second);
    return first;
  }

  // The same memory as an Array of the CPU, for as long as the call lasts.
  Array seen_by_cpu(const Array& x) const {
    if (!x.defined()) return x;
    check(x.device() == device_, "the guarded device was given an array {} {} of {}", x.dtype(),
          x.shape(), x.device());
    return Array(
        std::make_shared<Storage>(Storage{.data = x.address(), .bytes = x.bytes(), .device = cpu}),
        x.shape(), x.dtype());
  }
  PackedWeight seen_by_cpu(PackedWeight w) const {
    w.data = seen_by_cpu(w.data);
    return w;
  }
  KvLayer seen_by_cpu(KvLayer cache) const {
    for (Array* array : {&cache.k, &cache.v, &cache.scales}) *array = seen_by_cpu(*array);
    return cache;
  }

  // A result of the CPU, moved to this device. To be called while the memory is open.
  Array kept(const Array& x) {
    if (!x.defined()) return x;
    Array copy(x.shape(), x.dtype(), device_);
    cpu_.read(x, copy.address());
    return copy;
  }
  bool kept(bool answer) { return answer; }
  PackedWeight kept(PackedWeight w) {
    w.data = kept(w.data);
    return w;
  }
  LayerNormed kept(const LayerNormed& x) { return {kept(x.y), kept(x.mean), kept(x.rstd)}; }
  LayerNormGrads kept(const LayerNormGrads& x) { return {kept(x.dx), kept(x.dw), kept(x.db)}; }
  Attended kept(const Attended& x) { return {kept(x.y), kept(x.lse)}; }
  CrossEntropy kept(const CrossEntropy& x) { return {kept(x.loss), kept(x.dx), kept(x.dw)}; }
  KvLayer kept(const KvLayer& x) { return {kept(x.k), kept(x.v), kept(x.scales), x.capacity}; }

  Backend& cpu_ = backend(cpu);
  GuardedPages& pages_ = *new GuardedPages;
  CachingAllocator allocator_{std::unique_ptr<Pages>(&pages_)};
  Device device_;

 public:
  static GuardedBackend& instance() {
    static GuardedBackend& backend = *new GuardedBackend;  // outlives every Array
    return backend;
  }
  Device device() const { return device_; }

  // --- memory
  std::shared_ptr<Storage> allocate(size_t bytes) override {
    return {new Storage{.data = allocator_.allocate(bytes), .bytes = bytes, .device = device_},
            [this](Storage* storage) {
              allocator_.free(storage->data);
              delete storage;
            }};
  }
  MemoryUse memory() const override { return allocator_.use(); }
  void forget_peak_memory() override { allocator_.forget_peak(); }
  uint64_t available_memory() const override { return cpu_.available_memory(); }
  void write(const void* host, Array& to) override {
    run([&](Array x) { cpu_.write(host, x); }, to);
  }
  // The host cannot write there: through memory of its own.
  void write(const std::function<void(void* host)>& produce, Array& to) override {
    std::vector<char> bytes(to.bytes());
    if (!bytes.empty()) produce(bytes.data());
    write(bytes.data(), to);
  }
  void read(const Array& from, void* host) override {
    run([&](Array x) { cpu_.read(x, host); }, from);
  }
  void fill(Array& x, double value) override {
    run([&](Array to) { cpu_.fill(to, value); }, x);
  }
  Array cast(const Array& x, DType dtype) override {
    return run([&](auto x) { return cpu_.cast(x, dtype); }, x);
  }
  Array transpose(const Array& x, DType dtype) override {
    return run([&](auto x) { return cpu_.transpose(x, dtype); }, x);
  }
  Array take_rows(const Array& x, std::span<const int64_t> rows) override {
    return run([&](auto x) { return cpu_.take_rows(x, rows); }, x);
  }
  bool all_finite(const Array& x) override {
    return run([&](auto x) { return cpu_.all_finite(x); }, x);
  }
  bool all_finite(const PackedWeight& w) override {
    return run([&](auto w) { return cpu_.all_finite(w); }, w);
  }

  // --- random numbers
  void random_normal(Array& x, double mean, double std, RandomStream stream) override {
    run([&](Array to) { cpu_.random_normal(to, mean, std, stream); }, x);
  }

  // --- elementwise
  Array unary(Unary op, const Array& x) override {
    return run([&](auto x) { return cpu_.unary(op, x); }, x);
  }
  Array unary_grad(Unary op, const Array& x, const Array& dy) override {
    return run([&](auto x, auto dy) { return cpu_.unary_grad(op, x, dy); }, x, dy);
  }
  Array add(const Array& a, const Array& b) override {
    return run([&](auto a, auto b) { return cpu_.add(a, b); }, a, b);
  }
  void accumulate(Array& into, const Array& x) override {
    run([&](Array into, auto x) { cpu_.accumulate(into, x); }, into, x);
  }
  void scale(Array& x, const Array& factor) override {
    run([&](Array x, auto factor) { cpu_.scale(x, factor); }, x, factor);
  }
  void scale(Array& x, double factor) override {
    run([&](Array x) { cpu_.scale(x, factor); }, x);
  }
  Array add_dropout(const Array& residual, const Array& x, const Dropout& dropout) override {
    return run([&](auto residual, auto x) { return cpu_.add_dropout(residual, x, dropout); },
               residual, x);
  }
  Array dropout_grad(const Array& dy, const Dropout& dropout, DType dtype) override {
    return run([&](auto dy) { return cpu_.dropout_grad(dy, dropout, dtype); }, dy);
  }

  // --- matrices
  Array linear(const Array& x, const Array& w, const Array& bias, Unary act, Array* pre) override {
    return run(
        [&](auto x, auto w, auto bias) {
          return with_second(pre, [&](Array* pre) { return cpu_.linear(x, w, bias, act, pre); });
        },
        x, w, bias);
  }
  Array linear_grad_x(const Array& dy, const Array& w, Unary act, const Array& pre,
                      Array* post) override {
    return run(
        [&](auto dy, auto w, auto pre) {
          return with_second(
              post, [&](Array* post) { return cpu_.linear_grad_x(dy, w, act, pre, post); });
        },
        dy, w, pre);
  }
  Array linear_grad_w(const Array& dy, const Array& x) override {
    return run([&](auto dy, auto x) { return cpu_.linear_grad_w(dy, x); }, dy, x);
  }
  Array sum_rows(const Array& dy) override {
    return run([&](auto dy) { return cpu_.sum_rows(dy); }, dy);
  }
  PackedWeight pack(const Array& w, WeightFormat format) override {
    return run([&](auto w) { return cpu_.pack(w, format); }, w);
  }
  PackedWeight packed(const Array& data, int64_t N, int64_t K, WeightFormat format) override {
    PackedWeight known = run([&](auto data) { return cpu_.packed(data, N, K, format); }, data);
    known.data = data;
    return known;
  }
  Array unpack_rows(const PackedWeight& w, const Array& rows) override {
    return run([&](auto w, auto rows) { return cpu_.unpack_rows(w, rows); }, w, rows);
  }
  Array linear_packed(const Array& x, const PackedWeight& w, const Array& bias,
                      Unary act) override {
    return run([&](auto x, auto w, auto bias) { return cpu_.linear_packed(x, w, bias, act); }, x, w,
               bias);
  }

  // --- layer norm
  LayerNormed layer_norm(const Array& x, const Array& w, const Array& b, double eps,
                         DType dtype) override {
    return run([&](auto x, auto w, auto b) { return cpu_.layer_norm(x, w, b, eps, dtype); }, x, w,
               b);
  }
  LayerNormGrads layer_norm_grad(const Array& dy, const Array& x, const Array& w, bool with_bias,
                                 const Array& mean, const Array& rstd) override {
    return run([&](auto dy, auto x, auto w, auto mean,
                   auto rstd) { return cpu_.layer_norm_grad(dy, x, w, with_bias, mean, rstd); },
               dy, x, w, mean, rstd);
  }

  // --- embedding
  Array embedding(const Array& tokens, const Array& wte, const Array& wpe,
                  std::span<const int64_t> positions, DType dtype) override {
    return run([&](auto tokens, auto wte,
                   auto wpe) { return cpu_.embedding(tokens, wte, wpe, positions, dtype); },
               tokens, wte, wpe);
  }
  Array embedding(const Array& tokens, const PackedWeight& wte, const Array& wpe,
                  std::span<const int64_t> positions, DType dtype) override {
    return run([&](auto tokens, auto wte,
                   auto wpe) { return cpu_.embedding(tokens, wte, wpe, positions, dtype); },
               tokens, wte, wpe);
  }
  Array embedding_grad(const Array& dy, const Array& tokens, int64_t V) override {
    return run([&](auto dy, auto tokens) { return cpu_.embedding_grad(dy, tokens, V); }, dy,
               tokens);
  }

  // --- attention
  Attended attention(const Array& qkv, int64_t n_head, const Dropout& dropout) override {
    return run([&](auto qkv) { return cpu_.attention(qkv, n_head, dropout); }, qkv);
  }
  Array attention_grad(const Array& dy, const Array& qkv, const Attended& forward, int64_t n_head,
                       const Dropout& dropout) override {
    return run(
        [&](auto dy, auto qkv, auto y, auto lse) {
          return cpu_.attention_grad(dy, qkv, {y, lse}, n_head, dropout);
        },
        dy, qkv, forward.y, forward.lse);
  }
  KvLayer make_kv_layer(int64_t B, int64_t T, int64_t C, int64_t n_head, DType dtype) override {
    return run([&] { return cpu_.make_kv_layer(B, T, C, n_head, dtype); });
  }
  Array attention_cached(const Array& qkv, int64_t n_head, KvLayer& cache,
                         std::span<const int64_t> positions) override {
    return run([&](auto qkv,
                   KvLayer cache) { return cpu_.attention_cached(qkv, n_head, cache, positions); },
               qkv, cache);
  }
  void copy_kv(const KvLayer& from, int64_t from_row, KvLayer& to, int64_t to_row,
               int64_t length) override {
    run([&](auto from, KvLayer to) { cpu_.copy_kv(from, from_row, to, to_row, length); }, from, to);
  }

  // --- loss
  CrossEntropy linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                    bool with_grad, double factor) override {
    return run(
        [&](auto x, auto w, auto targets) {
          return cpu_.linear_cross_entropy(x, w, targets, with_grad, factor);
        },
        x, w, targets);
  }
  Array linear_cross_entropy(const Array& x, const PackedWeight& w, const Array& targets) override {
    return run(
        [&](auto x, auto w, auto targets) { return cpu_.linear_cross_entropy(x, w, targets); }, x,
        w, targets);
  }

  // --- optimiser
  Array norm(std::span<const Array> arrays) override {
    return run([&] {
      std::vector<Array> seen;
      for (const Array& array : arrays) seen.push_back(seen_by_cpu(array));
      return cpu_.norm(seen);
    });
  }
  Array clip_scale(const Array& norm, double limit) override {
    return run([&](auto norm) { return cpu_.clip_scale(norm, limit); }, norm);
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
          cpu_.adamw(seen, of_cpu);
        },
        step.grad_scale);
  }

  // --- the machine
  std::string machine_name() const override { return cpu_.machine_name(); }
  MachinePeak measure_peak() override { return cpu_.measure_peak(); }
  double measure_read_bandwidth() override { return cpu_.measure_read_bandwidth(); }
};

}  // namespace

Device guarded_device() { return GuardedBackend::instance().device(); }

}  // namespace folio
