#include <algorithm>
#include <vector>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/cuda/ptx.h"
#include "core/cuda/status.h"

namespace folio {
namespace {

using cuda::check_status;

// Places of the stream, and when the device was at each.
class Marks {
 public:
  Marks() = default;
  ~Marks() {
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
  }
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;

  void add() {
    if (marked_ == events_.size()) {
      cudaEvent_t event = nullptr;
      check_status(cudaEventCreateWithFlags(&event, cudaEventDefault), "cudaEventCreateWithFlags");
      events_.push_back(event);
    }
    check_status(cudaEventRecord(events_[marked_++], cuda::stream()), "cudaEventRecord");
  }

  bool any() const { return marked_ > 0; }

  // Seconds after the first of those that were added since the last call; waits for the last.
  std::vector<double> take() {
    std::vector<double> seconds;
    if (marked_ > 0)
      check_status(cudaEventSynchronize(events_[marked_ - 1]), "waiting for a measurement");
    for (size_t i = 0; i < marked_; ++i) {
      float ms = 0;
      check_status(cudaEventElapsedTime(&ms, events_[0], events_[i]), "cudaEventElapsedTime");
      seconds.push_back(double(ms) * 1e-3);
    }
    marked_ = 0;
    return seconds;
  }

 private:
  std::vector<cudaEvent_t> events_;  // used again
  size_t marked_ = 0;                // of them, since take() was called
};

// Work a second, the best of ten runs. start(size) gives a function that queues work of that size
// and returns how much it is. The size doubles, to `most`, until the work keeps the device busy.
template <class Start>
double best_rate(int64_t size, int64_t most, Start&& start) {
  constexpr double busy = 2e-3;  // seconds, against which launching is nothing
  Marks marks;
  auto seconds_of = [&](auto&& f) {  // that the device takes for what f() queues
    marks.add();
    f();
    marks.add();
    return marks.take()[1];
  };
  for (;; size *= 2) {
    const auto run = start(size);
    run();  // the first may load code and choose an algorithm
    if (seconds_of(run) < busy && size * 2 <= most) continue;
    double best = 0;
    for (int i = 0; i < 10; ++i) {
      double amount = 0;
      const double seconds = seconds_of([&] { amount = run(); });
      best = std::max(best, amount / seconds);
    }
    return best;
  }
}

constexpr int chains = 8, threads = 256;

// While it runs, the host queues what is measured behind it: the device then does not wait for the
// host in between, which would count as the work's time.
__global__ void pause_kernel() { cuda::pause(20'000'000); }

// `steps` of as many independent multiply-adds as hide their latency, in registers.
__global__ void __launch_bounds__(threads) multiply_adds_kernel(int64_t steps, float* kept) {
  float sum[chains];
#pragma unroll
  for (int j = 0; j < chains; ++j) sum[j] = float(int(threadIdx.x) + j);
  for (int64_t i = 0; i < steps; ++i) {
#pragma unroll
    for (int j = 0; j < chains; ++j) sum[j] = sum[j] * 0.5f + 1.0f;
  }
  float total = 0;
  for (float chain : sum) total += chain;
  if (total == 0) *kept = total;  // never, which the compiler does not know
}

// Numbers in [-1, 1) that are all different: of equal ones a GPU makes products faster.
void fill_randomly(Array& x) {
  auto* to = x.data<bfloat16>();
  cuda::each("random numbers", x.size(), [=] __device__(int64_t i) {
    const uint32_t bits = philox({uint32_t(i), 0, 0, 0}, 1)[0];
    to[i] = bfloat16(float(bits) * 0x1p-31f - 1.0f);
  });
}

double f32_flops(Device device) {
  const int blocks = cuda::device_properties().multiProcessorCount * 8;  // 2,048 threads on each
  const Array kept({1}, DType::f32, device);
  return best_rate(1 << 8, 1 << 16, [&](int64_t steps) {
    return [&, steps] {
      cuda::launch("multiply_adds", multiply_adds_kernel, {unsigned(blocks), threads},
                   cuda::stream(), steps, kept.data<float>());
      return 2.0 * chains * double(steps) * threads * blocks;
    };
  });
}

// A large product, which is what tensor cores are for.
double bf16_product_flops(Device device, uint64_t available) {
  int64_t most = 8192;
  while (most > 256 && uint64_t(3 * most * most) * sizeof(bfloat16) > available / 4) most /= 2;
  return best_rate(256, most, [&](int64_t n) {
    Array x({n, n}, DType::bf16, device), w({n, n}, DType::bf16, device);
    fill_randomly(x);
    fill_randomly(w);
    return [=] {
      backend(x)->products.linear(x, w, {});
      return 2.0 * double(n) * double(n) * double(n);
    };
  });
}

class CudaMachine final : public Machine {
 public:
  std::string name() const override {
    const cudaDeviceProp& device = cuda::device_properties();
    return fmt::format("{}, {} multiprocessors, sm_{}{}", device.name, device.multiProcessorCount,
                       device.major, device.minor);
  }

  // Of 8-bit products too the fastest exact sums that folio has here are those in bf16.
  MachinePeak measure_peak() override {
    const Device device = RunningOn::device().value();
    MachinePeak peak;
    peak.f32 = peak.bf16 = {f32_flops(device), "multiply-adds of CUDA cores"};
    const double product = bf16_product_flops(device, cuda_memory().available());
    if (product > peak.f32.flops) peak.bf16 = {product, "tensor cores in a large product"};
    peak.int8 = peak.bf16;
    return peak;
  }

  // Of a copy, whose bytes are read and written: all that a GPU's memory gives.
  double measure_read_bandwidth() override {
    constexpr int64_t fewest = 64 << 20, most = 512 << 20;  // bytes; caches hold up to 126 MB
    const Device device = RunningOn::device().value();
    const auto share = int64_t(cuda_memory().available() / 4);
    if (share < fewest) return 0;
    return best_rate(fewest, std::min(share, most), [&](int64_t bytes) {
      const Array from({bytes}, DType::i8, device), to({bytes}, DType::i8, device);
      return [=] {
        check_status(cudaMemcpyAsync(to.address(), from.address(), size_t(bytes),
                                     cudaMemcpyDeviceToDevice, cuda::stream()),
                     "a copy of {} bytes on the device", bytes);
        return 2.0 * double(bytes);
      };
    });
  }

  void mark() override {
    if (!marks_.any()) cuda::launch("pause", pause_kernel, {1, 1}, cuda::stream());
    marks_.add();
  }
  std::vector<double> marks() override { return marks_.take(); }

 private:
  Marks marks_;
};

}  // namespace

Machine& cuda_machine() {
  static auto& operations = *new CudaMachine;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
