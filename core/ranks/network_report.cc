#include "core/ranks/network_report.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "core/backend.h"

namespace folio {
namespace {

// The median over `rounds` of the longest time of any rank, in seconds. They begin together.
double median_time(Communicator& ranks, int rounds, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    ranks.gather("");
    Clock::time_point begin = Clock::now();
    call();
    std::string mine = std::to_string(std::chrono::nanoseconds(Clock::now() - begin).count());
    int64_t longest = 0;
    for (const std::string& time : ranks.gather(mine))
      longest = std::max<int64_t>(longest, std::stoll(time));
    times.push_back(double(longest) * 1e-9);
  }
  std::ranges::sort(times);
  return (times[times.size() / 2] + times[(times.size() - 1) / 2]) / 2;
}

Array bytes_array(const Communicator& ranks, int64_t bytes) {
  return zeros({bytes / int64_t(sizeof(float))}, DType::f32, ranks.device());
}

// The most bytes, from 64 MiB down, of which `rounds` calls take some five seconds.
int64_t affordable(double seconds_of_a_mebibyte, int rounds) {
  int64_t bytes = int64_t{64} << 20;
  while (bytes > 1 << 20 && double(bytes >> 20) * seconds_of_a_mebibyte * rounds > 5) bytes /= 2;
  return bytes;
}

double all_reduce_time(Communicator& ranks, int64_t bytes, int rounds) {
  Array x = bytes_array(ranks, bytes);
  ranks.all_reduce(x).wait();
  backend(x)->memory.read(x.slice(0, 1), std::vector<float>(1).data());  // a GPU is at its end too
  return median_time(ranks, rounds, [&] {
    ranks.all_reduce(x).wait();
    float first;
    backend(x)->memory.read(x.slice(0, 1), &first);
  });
}

// One way between a and b; the other ranks only wait.
double one_way_time(Communicator& ranks, int a, int b, int64_t bytes, int rounds) {
  Array x = bytes_array(ranks, bytes);
  return median_time(ranks, rounds,
                     [&] {
                       for (auto [from, to] : {std::pair(a, b), std::pair(b, a)}) {
                         if (ranks.rank() == from) ranks.send(x, to).wait();
                         if (ranks.rank() == to) ranks.receive(x, from).wait();
                       }
                     }) /
         2;
}

std::vector<NetworkReport::Pair> measure_pairs(Communicator& ranks) {
  std::vector<NetworkReport::Pair> pairs;
  constexpr int rounds = 3;
  const int firsts = ranks.size() <= 16 ? ranks.size() : 1;
  for (int a = 0; a < firsts; ++a) {
    for (int b = a + 1; b < ranks.size(); ++b) {
      double mebibyte = one_way_time(ranks, a, b, 1 << 20, 1);
      // Five seconds are for all of them.
      int64_t bytes = affordable(mebibyte * 2, rounds * firsts * ranks.size() / 2);
      double seconds = one_way_time(ranks, a, b, bytes, rounds);
      pairs.push_back({a, b, double(bytes) / seconds, one_way_time(ranks, a, b, 4, 11)});
    }
  }
  return pairs;
}

}  // namespace

const NetworkReport::Pair* NetworkReport::slowest() const {
  auto slow = std::ranges::min_element(pairs, {}, &Pair::bandwidth);
  return slow == pairs.end() ? nullptr : &*slow;
}

const NetworkReport::Pair* NetworkReport::fastest() const {
  auto fast = std::ranges::max_element(pairs, {}, &Pair::bandwidth);
  return fast == pairs.end() ? nullptr : &*fast;
}

NetworkReport measure_network(Communicator& ranks) {
  constexpr int rounds = 10;
  NetworkReport report;
  report.bytes = affordable(all_reduce_time(ranks, 1 << 20, 1), rounds);
  report.seconds = all_reduce_time(ranks, report.bytes, rounds);
  report.algorithm_bandwidth = double(report.bytes) / report.seconds;
  report.bus_bandwidth = report.algorithm_bandwidth * 2 * (ranks.size() - 1) / ranks.size();
  report.latency = all_reduce_time(ranks, 4, rounds);
  if (ranks.size() <= 2) return report;
  try {
    report.pairs = measure_pairs(ranks);
  } catch (const Error&) {  // of all ranks alike: there are no messages between two
    if (ranks.device().type == Device::Type::cpu) throw;
  }
  return report;
}

}  // namespace folio
