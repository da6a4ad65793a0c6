#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "train/optimizer/part.h"

namespace folio {

// Where the parameters of a model lie in one array that its ranks exchange in buckets. A bucket has
// one piece of equal length for each rank, which that rank updates; the elements between the
// parameters belong to none.
struct Arena {
  struct Segment {
    std::string name;
    Parameter* parameter;
    int64_t begin;  // in the arena
    size_t bucket;
  };
  struct Bucket {
    int64_t begin, end;  // in the arena; a multiple of the number of ranks apart
    size_t segments = 0;
  };

  std::vector<Segment> segments;
  std::vector<Bucket> buckets;  // in the order in which backward completes them
  int ranks = 1;

  int64_t size() const { return buckets.empty() ? 0 : buckets.back().end; }
  int64_t piece(const Bucket& bucket) const { return (bucket.end - bucket.begin) / ranks; }
};

// Buckets of `bucket_size` elements or more, of parameters from the last to the first. If `whole`,
// hidden matrices lie so that none is in two pieces: as many of one size as there are ranks make a
// bucket, or as many as are left.
Arena arrange(Module& module, int ranks, int64_t bucket_size, bool whole);

// The elements [first, second) of a parameter that lie in the piece of `rank`; none: not in order.
std::pair<int64_t, int64_t> part_range(const Arena& arena, const Arena::Segment& segment, int rank);
// What rank `rank` updates of each parameter, whose gradients are at their place in `gradients`,
// the arena's.
std::vector<Part> parts_of(const Arena& arena, int rank, const Array& gradients);

}  // namespace folio
