#include "tests/cuda/emulator/blas.h"

#include <cstring>
#include <mutex>

#include "tests/cuda/emulator/device_memory.h"
#include "tests/cuda/emulator/stream.h"

namespace {

using folio::emulator::DeviceMemory;
using Layout = cublasLtMatrixLayoutOpaque_t;

size_t bytes_of(cudaDataType_t type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }

template <class T>
cublasStatus_t set(T& to, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

bool transposed(cublasOperation_t op) { return op == CUBLAS_OP_T; }

// Whether the shapes go together and a matrix does not overlap itself.
bool shapes_fit(const cublasLtMatmulDescOpaque_t& what, const Layout& a, const Layout& b,
                const Layout& d) {
  const bool ta = transposed(what.transpose_a), tb = transposed(what.transpose_b);
  const bool dense = a.ld >= a.rows && b.ld >= b.rows && d.ld >= d.rows;
  const bool alone = d.batch == 1 || d.stride >= d.ld * d.cols;
  return dense && alone && (ta ? a.cols : a.rows) == d.rows && (tb ? b.rows : b.cols) == d.cols &&
         (ta ? a.rows : a.cols) == (tb ? b.cols : b.rows) && a.batch == d.batch &&
         b.batch == d.batch && d.rows > 0 && d.cols > 0 && a.rows > 0 && a.cols > 0;
}

bool types_fit(const cublasLtMatmulDescOpaque_t& what, const Layout& a, const Layout& b,
               const Layout& d) {
  const bool f64 = a.type == CUDA_R_64F;
  if (what.compute != (f64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F)) return false;
  if (what.scale != (f64 ? CUDA_R_64F : CUDA_R_32F)) return false;
  return a.type == b.type && (d.type == a.type || (a.type == CUDA_R_16BF && d.type == CUDA_R_32F));
}

// In bytes, from the first element of the first matrix to the last one of the last.
size_t extent(const Layout& x) {
  return size_t((x.batch - 1) * x.stride + (x.cols - 1) * x.ld + x.rows) * bytes_of(x.type);
}

// An algorithm is what the heuristic was promised: the alignments, and the workspace it asked for.
struct Algorithm {
  uint32_t alignments[4];
  uint64_t workspace;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

bool aligned(const void* address, uint32_t to) {
  return reinterpret_cast<uintptr_t>(address) % to == 0;
}

double scalar(const void* value, cudaDataType_t type) {
  return type == CUDA_R_64F ? *static_cast<const double*>(value)
                            : double(*static_cast<const float*>(value));
}

}  // namespace

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "?";
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "the stand-in does not take this";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description,
                                        cublasComputeType_t compute, cudaDataType_t scale) {
  *description = new cublasLtMatmulDescOpaque_t{compute, scale};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t what,
                                              const void* value, size_t bytes) {
  switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set(description->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set(description->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set(description->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set(description->bias, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  delete description;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld) {
  *layout = new Layout{type, int64_t(rows), int64_t(cols), ld};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t what,
                                                const void* value, size_t bytes) {
  return what == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT ? set(layout->batch, value, bytes)
                                                    : set(layout->stride, value, bytes);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t what,
                                                    const void* value, size_t bytes) {
  if (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
    return set(preference->workspace, value, bytes);
  if (what == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
    return set(preference->reductions, value, bytes);
  return set(preference->alignments[what - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
             bytes);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* count) {
  *count = 0;
  if (wanted < 1 || !shapes_fit(*description, *a, *b, *d) || c->ld != d->ld)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (!types_fit(*description, *a, *b, *d)) return CUBLAS_STATUS_NOT_SUPPORTED;
  // Sums in an order of chance, or sums rounded on the way, would make runs differ.
  if (preference->reductions &
      (CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  Algorithm algorithm{};
  std::memcpy(algorithm.alignments, preference->alignments, sizeof algorithm.alignments);
  algorithm.workspace = preference->workspace < 4096 ? preference->workspace : 4096;
  results[0] = {};
  std::memcpy(&results[0].algo, &algorithm, sizeof algorithm);
  results[0].workspaceSize = algorithm.workspace;
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha,
                              const void* A, cublasLtMatrixLayout_t a, const void* B,
                              cublasLtMatrixLayout_t b, const void* beta, const void* C,
                              cublasLtMatrixLayout_t, void* D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  const std::scoped_lock lock(folio::emulator::runtime_mutex());
  Algorithm chosen;
  std::memcpy(&chosen, algorithm, sizeof chosen);
  const DeviceMemory& memory = DeviceMemory::get();
  if (!folio::emulator::is_stream(stream) || C != D || !shapes_fit(*description, *a, *b, *d) ||
      !memory.holds(A, extent(*a)) || !memory.holds(B, extent(*b)) || !memory.holds(D, extent(*d)))
    return CUBLAS_STATUS_INVALID_VALUE;
  const bool with_bias = description->epilogue == CUBLASLT_EPILOGUE_BIAS;
  if (with_bias != (description->bias != nullptr) ||
      (with_bias && !memory.holds(description->bias, size_t(d->rows) * bytes_of(d->type))))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (workspace_bytes < chosen.workspace || !memory.holds(workspace, chosen.workspace) ||
      !aligned(workspace, 256))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (!aligned(A, chosen.alignments[0]) || !aligned(B, chosen.alignments[1]) ||
      !aligned(D, chosen.alignments[2]) || !aligned(D, chosen.alignments[3]))
    return CUBLAS_STATUS_INVALID_VALUE;
  stream->add([product = folio::emulator::Product{*description, *a, *b, *d, A, B, D,
                                                  scalar(alpha, description->scale),
                                                  scalar(beta, description->scale)},
               workspace, bytes = chosen.workspace] {
    std::memset(workspace, 0xff, bytes);  // whatever else lies there is lost
    product.run();
  });
  return CUBLAS_STATUS_SUCCESS;
}
