// bench_products [f32|bf16|packed]: GFLOP/s of the products of folio's shapes on this CPU, through
// the Backend's operations: what linear, its two gradients and the loss's head take, with the
// matrix unit and without. The best of several runs. --threads=N as everywhere else.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/cpu/tiles/tile_unit.h"
#include "core/parallel.h"

namespace folio {
namespace {

double seconds_of(const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9, spent = 0;
  run();
  for (int i = 0; i < 100 && (i < 3 || spent < 0.5); ++i) {
    const auto start = Clock::now();
    run();
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, took);
    spent += took;
  }
  return best;
}

// Numbers between -1 and 1 that differ.
Array numbers(Shape shape, DType dtype) {
  std::vector<float> values(size_t(shape.size()));
  uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525 + 1013904223;
    value = float(int32_t(state)) * 0x1p-31f;
  }
  const Array x = to_array(values, shape, cpu);
  return dtype == DType::f32 ? x : backend(x)->elementwise.cast(x, dtype);
}

// y [m, n] = x w^T, as in training: weights in f32, activations in `dtype`.
void measure_linear(int64_t m, int64_t n, int64_t k, DType dtype) {
  const Array x = numbers({m, k}, dtype), w = numbers({n, k}, DType::f32);
  const Array dy = numbers({m, n}, dtype), bias = numbers({n}, DType::f32);
  const double flops = 2e-9 * double(m) * double(n) * double(k);
  Array dw = zeros({n, k}, DType::f32, cpu), pre;
  const double y = seconds_of([&] { backend(cpu)->products.linear(x, w, bias); });
  const double act =
      seconds_of([&] { backend(cpu)->products.linear(x, w, bias, gelu_tanh_op, &pre); });
  const double dx = seconds_of([&] { backend(cpu)->products.linear_grad_x(dy, w); });
  const double to_w = seconds_of([&] { backend(cpu)->products.linear_grad_w(dy, x, dw); });
  fmt::print("{:6} x {:5} x {:5}: y {:5.0f}, with GELU {:5.0f}, dx {:5.0f}, dw {:5.0f}\n", m, n, k,
             flops / y, flops / act, flops / dx, flops / to_w);
}

// The head and its loss, three products of [m, V, C].
void measure_head(int64_t m, int64_t V, int64_t C, DType dtype) {
  const Array x = numbers({m, C}, dtype), w = numbers({V, C}, DType::f32);
  const std::vector<int32_t> zeros(size_t(m), 0);
  const Array targets = to_array(zeros, {m}, cpu);
  const double flops = 2e-9 * double(m) * double(V) * double(C);
  const double loss =
      seconds_of([&] { backend(cpu)->losses.linear_cross_entropy(x, w, targets, false); });
  const double all =
      seconds_of([&] { backend(cpu)->losses.linear_cross_entropy(x, w, targets, true); });
  fmt::print("{:6} x {:5} x {:5}: loss {:5.0f}, with gradients {:5.0f}\n", m, V, C, flops / loss,
             3 * flops / all);
}

// Sampling: weights packed once.
void measure_packed(int64_t n, int64_t k) {
  const Array w = numbers({n, k}, DType::f32);
  for (const WeightFormat format :
       {WeightFormat::f32, WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4}) {
    const PackedWeight packed = backend(cpu)->packed.pack(w, format);
    fmt::print("{:5} x {:5} {:9}:", n, k, name_of(format));
    for (const int64_t m : {1, 2, 4, 10, 16, 32, 512}) {
      const Array x = numbers({m, k}, DType::f32);
      const double took = seconds_of([&] { backend(cpu)->packed.linear(x, packed, {}); });
      fmt::print(
          " {} rows {:.0f}{}", m, 2e-9 * double(m) * double(n) * double(k) / took,
          m == 1 ? fmt::format(" ({:.1f} GB/s)", double(packed.data.bytes()) / took / 1e9) : "");
    }
    fmt::print("\n");
  }
}

void measure(DType dtype) {
  for (const int64_t m : {16384})
    for (const auto& [n, k] : {std::pair{1536, 384}, {384, 1536}, {1152, 384}, {384, 384}})
      measure_linear(m, n, k, dtype);
  for (const int64_t m : {1024, 4096})
    for (const auto& [n, k] : {std::pair{2304, 768}, {768, 768}, {3072, 768}, {768, 3072}})
      measure_linear(m, n, k, dtype);
  for (const auto& [n, k] : {std::pair{384, 128}, {512, 128}, {128, 512}})
    measure_linear(768, n, k, dtype);
  measure_head(1024, 50304, 768, dtype);
  measure_head(16384, 65, 384, dtype);
}

void run(const std::vector<std::string>& arguments) {
  bool f32 = true, bf16 = true, packed = true;
  for (const std::string& argument : arguments) {
    if (argument.starts_with("--threads="))
      set_parallel_threads(std::stoi(argument.substr(10)));
    else
      f32 = argument == "f32", bf16 = argument == "bf16", packed = argument == "packed";
  }
  fmt::print("{}\nGFLOP/s of products rows x columns x depth\n", backend(cpu)->machine.name());
  if (f32) fmt::print("\nf32\n"), measure(DType::f32);
  for (const UseTiles use : {UseTiles::hardware, UseTiles::off}) {
    if (use == UseTiles::hardware && !has_hardware_tiles()) continue;
    use_tiles(use);
    const char* with = use == UseTiles::off ? "without tiles" : "with tiles";
    if (bf16) fmt::print("\nbf16, {}\n", with), measure(DType::bf16);
    if (packed) {
      fmt::print("\npacked weights, {}\n", with);
      for (const auto& [n, k] : {std::pair{2304, 768}, {3072, 768}, {768, 3072}, {50304, 768}})
        measure_packed(n, k);
    }
  }
}

}  // namespace
}  // namespace folio

int main(int argc, char** argv) {
  folio::run({argv + 1, argv + argc});
  return 0;
}
