#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/ranks/communicator.h"

namespace folio {

// How fast the ranks exchange, in bytes and seconds.
struct NetworkReport {
  // The median of ten all-reduces of f32; a time is that of the rank that took longest.
  int64_t bytes = 0;
  double seconds = 0;
  double algorithm_bandwidth = 0;  // bytes / seconds: what training sees
  double bus_bandwidth = 0;  // what each rank's link carries each way: 2 (size - 1) / size of it
  double latency = 0;        // seconds of a small all-reduce

  // What one rank sends another while all others are quiet, there and back.
  struct Pair {
    int a = 0, b = 0;
    double bandwidth = 0;  // one way
    double latency = 0;    // of a small message, one way
  };
  // Of more than two ranks, each two; of more than 16, each with rank 0. Empty where this kind of
  // communicator has no messages between two.
  std::vector<Pair> pairs;
  const Pair* slowest() const;  // null: there are none
  const Pair* fastest() const;
};

// All ranks call it, and get the same. Takes some 20 s at most on a slow network: there the arrays
// are smaller than the 64 MiB that they are otherwise.
NetworkReport measure_network(Communicator& ranks);

}  // namespace folio
