#include "core/ranks/check_collective.h"

#include "core/check.h"

namespace folio {
namespace {

void check_device(const Communicator& ranks, const char* call, const Array& x) {
  check(x.device() == ranks.device(), "{}: an array of {}, while these ranks are on {}", call,
        x.device(), ranks.device());
}

void check_sum(const Communicator& ranks, const char* call, const Array& x) {
  check_device(ranks, call, x);
  check(x.dtype() == DType::f32 || x.dtype() == DType::f64, "{}: sums float32 or float64, not {}",
        call, x.dtype());
}

void check_parts(const Communicator& ranks, const char* call, const Array& x, const Array& shard) {
  check_device(ranks, call, shard);
  check(x.dtype() == shard.dtype() && x.size() == ranks.size() * shard.size(),
        "{}: x {} {} is not the shards {} {} of {} ranks", call, x.dtype(), x.shape(),
        shard.dtype(), shard.shape(), ranks.size());
}

}  // namespace

void check_all_reduce(const Communicator& ranks, const Array& x) {
  check_sum(ranks, "all_reduce", x);
}

void check_reduce_scatter(const Communicator& ranks, const Array& x, const Array& shard) {
  check_sum(ranks, "reduce_scatter", x);
  check_parts(ranks, "reduce_scatter", x, shard);
}

void check_all_gather(const Communicator& ranks, const Array& shard, const Array& x) {
  check_device(ranks, "all_gather", x);
  check_parts(ranks, "all_gather", x, shard);
}

void check_broadcast(const Communicator& ranks, const Array& x, int root) {
  check_device(ranks, "broadcast", x);
  check(0 <= root && root < ranks.size(), "broadcast: root {} is none of {} ranks", root,
        ranks.size());
}

}  // namespace folio
