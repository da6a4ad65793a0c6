#include "core/cuda/matmul_plan.h"

#include <cublasLt.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "core/backend.h"
#include "core/cuda/stream.h"
#include "core/devices/costs.h"

namespace folio::cuda {
namespace {

template <class... Args>
void check_blas(cublasStatus_t status, fmt::format_string<Args...> call, Args&&... args) {
  if (status != CUBLAS_STATUS_SUCCESS) [[unlikely]]
    fail("cuda: {}: {} ({})", fmt::format(call, std::forward<Args>(args)...),
         cublasLtGetStatusString(status), cublasLtGetStatusName(status));
}

template <class T, cublasStatus_t (*destroy)(T)>
struct Destroy {
  using pointer = T;
  void operator()(T object) const { destroy(object); }
};
template <class T, cublasStatus_t (*destroy)(T)>
using Owned = std::unique_ptr<T, Destroy<T, destroy>>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cublasLtHandle_t handle() {
  static const cublasLtHandle_t handle = [] {
    cublasLtHandle_t made = nullptr;
    check_blas(cublasLtCreate(&made), "cublasLtCreate");
    return made;
  }();
  return handle;
}

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return CUDA_R_64F;
    case DType::f32:
      return CUDA_R_32F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      fail("matmul: needs floating-point arrays, got {}", dtype);
  }
}

// The largest power of two that divides the address, 256 at most.
uint32_t alignment_of(const void* address) {
  return 1u << std::min(8, std::countr_zero(reinterpret_cast<uintptr_t>(address)));
}

// A matrix as cuBLASLt sees it: column-major, so the transpose of ours.
struct Kind {
  DType dtype;
  int64_t rows, cols, ld, step;  // `cols` numbers next to each other
  bool transposed;
  uint32_t alignment;
  auto operator<=>(const Kind&) const = default;
};

Layout layout_of(const Kind& kind, int64_t batch) {
  cublasLtMatrixLayout_t made = nullptr;
  check_blas(cublasLtMatrixLayoutCreate(&made, type_of(kind.dtype), uint64_t(kind.cols),
                                        uint64_t(kind.rows), kind.ld),
             "cublasLtMatrixLayoutCreate of [{}, {}], a row every {}", kind.rows, kind.cols,
             kind.ld);
  Layout layout(made);
  const auto count = int32_t(batch);
  check_blas(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                              sizeof count),
             "a batch of {}", batch);
  check_blas(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                              &kind.step, sizeof kind.step),
             "matrices {} elements apart", kind.step);
  return layout;
}

// c^T = b^T a^T: cuBLASLt's A is our b, its B our a.
struct Plan {
  Description description;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace = 0;
};

Plan make_plan(const Kind& a, const Kind& b, const Kind& c, int64_t batch, bool with_bias) {
  const bool f64 = a.dtype == DType::f64;
  cublasLtMatmulDesc_t made = nullptr;
  check_blas(cublasLtMatmulDescCreate(&made, f64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                      f64 ? CUDA_R_64F : CUDA_R_32F),
             "cublasLtMatmulDescCreate");
  Plan plan{Description(made), layout_of(b, batch), layout_of(a, batch), layout_of(c, batch),
            cublasLtMatmulAlgo_t{}};
  const cublasOperation_t of_a = b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                          of_b = a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  check_blas(cublasLtMatmulDescSetAttribute(made, CUBLASLT_MATMUL_DESC_TRANSA, &of_a, sizeof of_a),
             "CUBLASLT_MATMUL_DESC_TRANSA");
  check_blas(cublasLtMatmulDescSetAttribute(made, CUBLASLT_MATMUL_DESC_TRANSB, &of_b, sizeof of_b),
             "CUBLASLT_MATMUL_DESC_TRANSB");
  if (with_bias) {
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    check_blas(cublasLtMatmulDescSetAttribute(made, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                              sizeof epilogue),
               "CUBLASLT_MATMUL_DESC_EPILOGUE");
  }

  cublasLtMatmulPreference_t preferred = nullptr;
  check_blas(cublasLtMatmulPreferenceCreate(&preferred), "cublasLtMatmulPreferenceCreate");
  const Preference preference(preferred);
  auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
    check_blas(cublasLtMatmulPreferenceSetAttribute(preferred, what, &value, sizeof value),
               "cublasLtMatmulPreferenceSetAttribute({})", int(what));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{32} << 20);
  prefer(
      CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t(CUBLASLT_REDUCTION_SCHEME_NONE) | uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, b.alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, a.alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c.alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c.alignment);
  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  check_blas(
      cublasLtMatmulAlgoGetHeuristic(handle(), made, plan.a.get(), plan.b.get(), plan.c.get(),
                                     plan.c.get(), preferred, 1, &found, &count),
      "no way to multiply {} [{}, {}]{} by [{}, {}]{}, {} times", a.dtype, a.rows, a.cols,
      a.transposed ? "^T" : "", b.rows, b.cols, b.transposed ? "^T" : "", batch);
  check(count > 0, "cuda: cuBLASLt knows no way to multiply {} [{}, {}] by [{}, {}]", a.dtype,
        a.rows, a.cols, b.rows, b.cols);
  plan.algorithm = found.algo;
  plan.workspace = found.workspaceSize;
  return plan;
}

// Holds while plans are looked up and used: a bias is an attribute of its plan.
std::mutex& mutex() {
  static std::mutex mutex;
  return mutex;
}

const Plan& plan_of(const Kind& a, const Kind& b, const Kind& c, int64_t batch, bool with_bias) {
  static auto& plans = *new std::map<std::tuple<Kind, Kind, Kind, int64_t, bool>, Plan>;
  const auto key = std::tuple(a, b, c, batch, with_bias);
  auto found = plans.find(key);
  if (found == plans.end()) found = plans.emplace(key, make_plan(a, b, c, batch, with_bias)).first;
  return found->second;
}

Kind kind_of(const Matrix& m) {
  return {m.dtype,
          m.rows,
          m.cols,
          m.ld > 0 ? m.ld : m.cols,
          m.step,
          m.transposed,
          alignment_of(m.data)};
}

}  // namespace

void matmul(const Matrix& a, const Matrix& b, const Matrix& c, int64_t batch, bool accumulate,
            const void* bias) {
  count_flops(double(batch) * product_flops(c.rows, c.cols, a.transposed ? a.rows : a.cols));
  const std::lock_guard lock(mutex());
  const Plan& plan = plan_of(kind_of(a), kind_of(b), kind_of(c), batch, bias != nullptr);
  if (bias)
    check_blas(cublasLtMatmulDescSetAttribute(
                   plan.description.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias),
               "CUBLASLT_MATMUL_DESC_BIAS_POINTER");
  const Array workspace({int64_t(plan.workspace)}, DType::i8, RunningOn::device().value());
  const double one = 1, other = accumulate ? 1 : 0;
  const float narrow_one = 1, narrow_other = float(other);
  const bool f64 = a.dtype == DType::f64;
  check_blas(
      cublasLtMatmul(handle(), plan.description.get(),
                     f64 ? static_cast<const void*>(&one) : &narrow_one, b.data, plan.a.get(),
                     a.data, plan.b.get(), f64 ? static_cast<const void*>(&other) : &narrow_other,
                     c.data, plan.c.get(), c.data, plan.c.get(), &plan.algorithm,
                     workspace.address(), plan.workspace, stream()),
      "multiplying {} [{}, {}]{} by [{}, {}]{}, {} times", a.dtype, a.rows, a.cols,
      a.transposed ? "^T" : "", b.rows, b.cols, b.transposed ? "^T" : "", batch);
}

}  // namespace folio::cuda
