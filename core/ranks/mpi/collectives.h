#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/array.h"
#include "core/ranks/mpi/exchange.h"

namespace folio {

// A collective operation from its call to its end.
struct Collective {
  Collective(std::string name, MPI_Comm ranks, std::vector<Array> arrays)
      : name(std::move(name)), exchange(ranks), arrays(std::move(arrays)) {}
  bool done() const { return begun && exchange.done(); }

  const std::string name;  // for errors: "all_reduce of float32 [8, 4]"
  Exchange exchange;
  const std::vector<Array> arrays;  // kept until it is done
  Array scratch;                    // what has come from others and is not summed yet
  int64_t scratch_bytes = 0;        // of it, once it begins
  std::function<void()> begin;
  bool begun = false;
};

// This rank among all, and the first of the tags that are the collective's own.
struct Place {
  int rank, size;
  int tag;
};

// Messages are at most this large: one piece is summed while the next travels.
inline constexpr int64_t piece_bytes = 512 << 10;
inline int64_t pieces_of(int64_t bytes) { return (bytes + piece_bytes - 1) / piece_bytes; }

// Elements [begin, end) of n that are rank's to sum: cut as evenly as whole cache lines allow.
struct Share {
  int64_t begin, end;
};
Share share_of(int rank, int size, int64_t n, int64_t element_bytes);

// The bytes of scratch that a rank sums a share in, so large: what has room there has come before
// it is asked for.
inline constexpr int64_t most_scratch = 32 << 20;
int64_t scratch_of_sum(int size, int64_t share_bytes);

// These start one; it goes on when its exchange advances. Addresses are those of collective.arrays.

// x [n], of `dtype`, = the sum over the ranks. Uses 2 * pieces_of(bytes of the first share) tags.
void start_all_reduce(Collective& collective, Place place, DType dtype, char* x, int64_t n);
// shard [n] = elements [rank n, (rank + 1) n) of the sum of x. Uses pieces_of(bytes of shard) tags.
void start_reduce_scatter(Collective& collective, Place place, DType dtype, const char* x,
                          char* shard, int64_t n);
// x = the shards, each of `bytes`, by rank. Uses pieces_of(bytes) tags.
void start_all_gather(Collective& collective, Place place, const char* shard, char* x,
                      int64_t bytes);
// x = root's. Uses pieces_of(bytes) tags.
void start_broadcast(Collective& collective, Place place, char* x, int64_t bytes, int root);

// x between this rank and one other. The tag is the same for all of them: the order of the calls
// tells them apart.
void start_send(Collective& collective, const char* x, int64_t bytes, int to, int tag);
void start_receive(Collective& collective, char* x, int64_t bytes, int from, int tag);

}  // namespace folio
