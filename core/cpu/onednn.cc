#include "core/cpu/onednn.h"

#include <malloc.h>
#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "core/cpu/scratch.h"

namespace folio {
namespace {

using dnnl::memory;

const dnnl::engine& cpu_engine() {
  static const dnnl::engine& engine = *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

memory::desc describe(int64_t rows, int64_t cols, DType dtype, int64_t stride, bool transposed) {
  return {{rows, cols},
          dtype == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32,
          transposed ? memory::dims{1, stride} : memory::dims{stride, 1}};
}

class Matmul {
 public:
  explicit Matmul(const MatmulKey& key) : Matmul(describe_primitive(key)) {}

  void operator()(const void* a, const void* b, float* c, const dnnl::stream& stream) {
    a_.set_data_handle(const_cast<void*>(a));
    b_.set_data_handle(const_cast<void*>(b));
    c_.set_data_handle(c);
    Scratch scratch(Scratch::bytes_for<char>(scratchpad_bytes_));
    scratchpad_.set_data_handle(scratch.take<char>(scratchpad_bytes_));
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, a_.get()},
                                    {DNNL_ARG_WEIGHTS, b_.get()},
                                    {DNNL_ARG_DST, c_.get()},
                                    {DNNL_ARG_SCRATCHPAD, scratchpad_.get()}};
    dnnl_status_t status = dnnl_primitive_execute(primitive_.get(), stream.get(), 4, args);
    check(status == dnnl_success, "oneDNN matmul failed with status {}", int(status));
  }

 private:
  using Primitive = dnnl::matmul::primitive_desc;

  explicit Matmul(const Primitive& p)
      : primitive_(p),
        a_(p.src_desc(), cpu_engine(), nullptr),
        b_(p.weights_desc(), cpu_engine(), nullptr),
        c_(p.dst_desc(), cpu_engine(), nullptr),
        scratchpad_(p.scratchpad_desc(), cpu_engine(), nullptr),
        scratchpad_bytes_(int64_t(p.scratchpad_desc().get_size())) {}

  static Primitive describe_primitive(const MatmulKey& key) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (key.accumulate) {
      dnnl::post_ops ops;
      ops.append_sum(1.0f);
      attr.set_post_ops(ops);
    }
    return {dnnl::matmul::desc(describe(key.m, key.k, key.a, key.lda, key.a_transposed),
                               describe(key.k, key.n, key.b, key.ldb, key.b_transposed),
                               describe(key.m, key.n, DType::f32, key.ldc, false)),
            attr, cpu_engine()};
  }

  dnnl::matmul primitive_;
  memory a_, b_, c_, scratchpad_;
  int64_t scratchpad_bytes_;
};

struct Hash {
  size_t operator()(const MatmulKey& key) const {
    uint64_t h = uint64_t(key.accumulate) | uint64_t(key.a_transposed) << 1 |
                 uint64_t(key.b_transposed) << 2 | uint64_t(key.a) << 3 | uint64_t(key.b) << 5;
    for (int64_t x : {key.m, key.n, key.k, key.lda, key.ldb, key.ldc})
      h = (h ^ uint64_t(x)) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
    return size_t(h);
  }
};

// oneDNN's older kernels take working memory and free it in every product. glibc, as it is set, may
// give that back to the system each time, which then clears it page by page for the next.
void keep_freed_memory() {
  static const bool once = [] {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
    return true;
  }();
  static_cast<void>(once);
}

struct Cache {
  static constexpr size_t limit = 512;  // shapes that come and go must not pile up
  std::unordered_map<MatmulKey, Matmul, Hash> matmuls;
  dnnl::stream stream{cpu_engine()};

  // oneDNN chooses how to block, and how many threads to use, from the calling thread's setting.
  Cache() {
    omp_set_num_threads(1);
    keep_freed_memory();
  }
};

}  // namespace

void onednn_matmul(const MatmulKey& key, const void* a, const void* b, float* c) {
  thread_local Cache cache;
  auto found = cache.matmuls.find(key);
  if (found == cache.matmuls.end()) {
    if (cache.matmuls.size() >= Cache::limit) cache.matmuls.clear();
    found = cache.matmuls.emplace(key, Matmul(key)).first;
  }
  found->second(a, b, c, cache.stream);
}

bool onednn_prefers_bf16() {
  static const bool prefers = [] {
#if defined(__x86_64__)
    if (onednn_has_matrix_units()) return true;
    const auto isa = dnnl::get_effective_cpu_isa();
    return isa == dnnl::cpu_isa::avx512_core_bf16 && bool(__builtin_cpu_is("amd"));
#else
    return false;
#endif
  }();
  return prefers;
}

bool onednn_has_matrix_units() {
#if defined(__x86_64__)
  return dnnl::get_effective_cpu_isa() == dnnl::cpu_isa::avx512_core_amx;
#else
  return false;
#endif
}

}  // namespace folio
