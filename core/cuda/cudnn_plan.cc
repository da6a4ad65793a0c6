// The one source that includes cuDNN's frontend, which takes a compiler about a minute.
#include "core/cuda/cudnn_plan.h"

#include <dlfcn.h>

#include <cmath>
#include <unordered_map>

#include "core/check.h"

#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#include <cudnn_frontend.h>

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // from which the frontend takes cuDNN's functions
}

namespace folio::cuda {
namespace {

namespace fe = cudnn_frontend;
using fe::error_code_t;

// The first whose gradient can be deterministic on sm_100 too; the defects that the frontend knows
// of in these graphs are all older.
constexpr size_t oldest_cudnn = 91800;

std::string open_cudnn() {
  fe::cudnn_dlhandle = dlopen("libcudnn.so.9", RTLD_NOW);
  if (!fe::cudnn_dlhandle) return dlerror();
  if (fe::detail::get_backend_version() < oldest_cudnn)
    return fmt::format("libcudnn.so.9 is cuDNN {}, attention needs 9.18 or newer",
                       fe::detail::get_backend_version_string());
  return "";
}

void check_cudnn(cudnnStatus_t status, std::string_view call) {
  if (status != CUDNN_STATUS_SUCCESS) [[unlikely]]
    fail("cuda: {}: {} ({})", call, fe::detail::get_last_error_string_(),
         fe::detail::get_error_string(status));
}

cudnnHandle_t handle() {
  static const cudnnHandle_t handle = [] {
    cudnnHandle_t made = nullptr;
    check_cudnn(fe::detail::create_handle(&made), "cudnnCreate");
    return made;
  }();
  return handle;
}

[[noreturn]] void fail_call(const std::string& what, std::string_view call,
                            const fe::error_object& error) {
  fail("cuda: cuDNN's {} of {}: {} ({}); where libcudnn.so.9 is not found, folio's own kernels run",
       call, what, error.err_msg, nlohmann::json(error.code).get<std::string>());
}

// What step() returns; some of the frontend throws what the rest of it returns.
template <class Step>
fe::error_object caught(Step&& step) {
  try {
    return step();
  } catch (const std::exception& error) {
    return {error_code_t::CUDNN_BACKEND_API_FAILED, error.what()};
  }
}

// Whether cuDNN says that it has no plan for a graph, and not that it failed, as it does where a
// library that it needs is missing. The frontend has the status in the text alone.
bool is_refusal(const fe::error_object& error) {
  auto says = [&](std::string_view status) {
    return error.err_msg.find(status) != std::string::npos;
  };
  return (error.code == error_code_t::GRAPH_NOT_SUPPORTED ||
          error.code == error_code_t::HEURISTIC_QUERY_FAILED ||
          says("CUDNN_STATUS_NOT_SUPPORTED")) &&
         !says("PREREQUISITE_MISSING");
}

// What each array is to a plan that runs.
enum Id : int64_t { q = 1, k, v, y, lse, dy, dq, dk, dv };

// The numbers [B, H, T, D] that start at an array's address; from one row of it to the next are
// `row` elements.
fe::graph::Tensor_attributes heads(Id id, const AttentionSizes& s, int64_t row) {
  fe::graph::Tensor_attributes tensor;
  tensor.set_uid(id).set_dim({s.B, s.H, s.T, s.D}).set_stride({s.T * row, s.D, row, 1});
  return tensor;
}

fe::graph::Tensor_attributes queries(Id id, const AttentionSizes& s) {
  fe::graph::Tensor_attributes tensor;
  tensor.set_uid(id)
      .set_data_type(fe::DataType_t::FLOAT)
      .set_dim({s.B, s.H, s.T, 1})
      .set_stride({int64_t{s.H} * s.T, s.T, 1, 1});
  return tensor;
}

void write_to(const std::shared_ptr<fe::graph::Tensor_attributes>& result,
              const fe::graph::Tensor_attributes& where) {
  const fe::DataType_t type = where.get_data_type();
  result->set_output(true)
      .set_uid(where.get_uid())
      .set_dim(where.get_dim())
      .set_stride(where.get_stride());
  if (type != fe::DataType_t::NOT_SET) result->set_data_type(type);
}

void add_forward(fe::graph::Graph& graph, const AttentionSizes& s) {
  const int64_t row = s.C(), packed = 3 * row;
  const auto options = fe::graph::SDPA_attributes()
                           .set_name("attention")
                           .set_attn_scale(1 / std::sqrt(float(s.D)))
                           .set_causal_mask(true)
                           .set_generate_stats(true);
  const auto [attended, stats] =
      graph.sdpa(graph.tensor(heads(q, s, packed)), graph.tensor(heads(k, s, packed)),
                 graph.tensor(heads(v, s, packed)), options);
  write_to(attended, heads(y, s, row));
  write_to(stats, queries(lse, s));
}

void add_grad(fe::graph::Graph& graph, const AttentionSizes& s) {
  const int64_t row = s.C(), packed = 3 * row;
  const auto options = fe::graph::SDPA_backward_attributes()
                           .set_name("attention_grad")
                           .set_attn_scale(1 / std::sqrt(float(s.D)))
                           .set_causal_mask(true)
                           .set_deterministic_algorithm(true);
  const auto [of_q, of_k, of_v] =
      graph.sdpa_backward(graph.tensor(heads(q, s, packed)), graph.tensor(heads(k, s, packed)),
                          graph.tensor(heads(v, s, packed)), graph.tensor(heads(y, s, row)),
                          graph.tensor(heads(dy, s, row)), graph.tensor(queries(lse, s)), options);
  write_to(of_q, heads(dq, s, packed));
  write_to(of_k, heads(dk, s, packed));
  write_to(of_v, heads(dv, s, packed));
}

std::shared_ptr<fe::DeviceProperties> properties_of(const std::string& description) {
  auto properties = std::make_shared<fe::DeviceProperties>();
  const auto error = properties->deserialize({description.begin(), description.end()});
  if (error.is_bad()) fail_call("a GPU described as " + description, "deserialize", error);
  return properties;
}

}  // namespace

const std::string& why_no_cudnn() {
  static const std::string why = open_cudnn();
  return why;
}

struct CudnnPlan::Graph {
  fe::graph::Graph graph;
};

CudnnPlan::CudnnPlan(AttentionPass pass, const AttentionSizes& sizes, const PlanTarget& target)
    : what_(fmt::format("attention{} in bf16, B {}, T {}, H {}, D {}, on sm_{}",
                        pass == AttentionPass::grad ? "'s gradient" : "", sizes.B, sizes.T, sizes.H,
                        sizes.D, target.sm)),
      C_(sizes.C()),
      graph_(std::make_unique<Graph>()) {
  fe::graph::Graph& graph = graph_->graph;
  graph.set_io_data_type(fe::DataType_t::BFLOAT16)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT)
      .set_sm_version(target.sm);
  pass == AttentionPass::forward ? add_forward(graph, sizes) : add_grad(graph, sizes);

  const bool described = !target.description.empty();
  if (described) graph.set_device_properties(properties_of(target.description));
  auto passes = [&](std::string_view call, auto&& step) {
    const fe::error_object error = caught(step);
    if (error.is_good()) return true;
    if (!is_refusal(error)) fail_call(what_, call, error);
    refusal_ = fmt::format("cuDNN's {} of {}: {}", call, what_, error.err_msg);
    return false;
  };
  int64_t bytes = 0;
  const bool planned =
      passes("validate", [&] { return graph.validate(); }) &&
      passes("build_operation_graph",
             [&] { return graph.build_operation_graph(described ? nullptr : handle()); }) &&
      passes("create_execution_plans",
             [&] { return graph.create_execution_plans({fe::HeurMode_t::A}); }) &&
      passes("check_support", [&] { return graph.check_support(); }) &&
      passes("build_plans", [&] { return graph.build_plans(); }) &&
      passes("get_workspace_size", [&] { return graph.get_workspace_size(bytes); });
  if (planned) workspace_ = size_t(bytes);
}

CudnnPlan::~CudnnPlan() = default;

void CudnnPlan::run(const AttentionArrays& arrays, void* workspace, cudaStream_t stream) const {
  check(refusal_.empty(), "cuda: {}", refusal_);
  check_cudnn(fe::detail::set_stream(handle(), stream), "cudnnSetStream");
  auto part = [&](bfloat16* packed, int i) { return packed ? packed + i * C_ : nullptr; };
  std::unordered_map<int64_t, void*> addresses = {
      {q, part(arrays.qkv, 0)},   {k, part(arrays.qkv, 1)},
      {v, part(arrays.qkv, 2)},   {y, arrays.y},
      {lse, arrays.lse},          {dy, arrays.dy},
      {dq, part(arrays.dqkv, 0)}, {dk, part(arrays.dqkv, 1)},
      {dv, part(arrays.dqkv, 2)}};
  const auto error = caught([&] { return graph_->graph.execute(handle(), addresses, workspace); });
  if (error.is_bad()) fail_call(what_, "execute", error);
}

}  // namespace folio::cuda
