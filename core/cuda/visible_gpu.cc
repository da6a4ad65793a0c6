#include "core/cuda/visible_gpu.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/check.h"

namespace folio::cuda {
namespace {

std::optional<int> number_on_host(const std::function<const char*(const char*)>& variable) {
  for (const char* name :
       {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID", "LOCAL_RANK"})
    if (const char* text = variable(name)) {
      const std::string_view value = text;
      int number = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      check(error == std::errc() && end == value.data() + value.size() && number >= 0,
            "cuda: {}={}: expected this process's number on its host, from 0", name, value);
      return number;
    }
  return std::nullopt;
}

std::vector<std::string> parts_of(std::string_view list) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    parts.emplace_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

std::optional<std::string> visible_gpu(const std::function<const char*(const char*)>& variable) {
  const std::optional<int> number = number_on_host(variable);
  if (!number) return std::nullopt;
  const char* visible = variable("CUDA_VISIBLE_DEVICES");
  if (!visible) return std::to_string(*number);
  const std::vector<std::string> gpus = parts_of(visible);
  if (gpus.size() == 1) return std::nullopt;
  check(size_t(*number) < gpus.size(),
        "cuda: CUDA_VISIBLE_DEVICES={} shows {} GPUs, and this is process {} of its host, counted "
        "from 0: start one process a GPU",
        visible, gpus.size(), *number);
  return gpus[size_t(*number)];
}

void take_own_gpu() {
  const std::optional<std::string> own =
      visible_gpu([](const char* name) -> const char* { return std::getenv(name); });
  if (!own) return;
  setenv("CUDA_VISIBLE_DEVICES", own->c_str(), 1);
  int gpus = 0;
  check(cudaGetDeviceCount(&gpus) == cudaSuccess && gpus > 0,
        "cuda: this host has no GPU {} for its process of that number, counted from 0: start one "
        "process a GPU",
        *own);
}

}  // namespace folio::cuda
