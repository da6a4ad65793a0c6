#include "train/ranks/arena.h"

#include <algorithm>
#include <map>
#include <set>

namespace folio {
namespace {

constexpr int64_t alignment = 16;  // elements: 64 bytes of f32

int64_t aligned(int64_t n, int64_t to = alignment) { return (n + to - 1) / to * to; }

// Parameters that make a bucket, and where: in the order of the module, the last of them that
// backward completes comes first.
struct Group {
  std::vector<std::pair<size_t, int64_t>> members;  // index, from the bucket's begin
  int64_t length = 0;
  size_t first = 0;  // of the module's parameters
};

class Arranger {
 public:
  Arranger(Module& module, int ranks, bool whole) : ranks_(ranks) {
    std::set<std::string> hidden;
    if (whole) module.hidden_matrices([&](const std::string& name, auto&) { hidden.insert(name); });
    module.parameters([&](const std::string& name, Parameter& parameter) {
      if (hidden.contains(name))
        by_size_[parameter.shape().size()].push_back(parameters_.size());
      else
        others_.push_back(parameters_.size());
      parameters_.push_back({name, &parameter, 0, 0});
    });
  }

  Arena arrange(int64_t bucket_size) {
    cut_anywhere(bucket_size);
    deal_out();
    // A bucket is complete when its parameter that the model uses first is.
    std::ranges::stable_sort(groups_, std::greater(), &Group::first);
    Arena arena{.segments = {}, .buckets = {}, .ranks = ranks_};
    for (const Group& group : groups_) {
      const int64_t begin = arena.size();
      for (auto [index, offset] : group.members) {
        arena.segments.push_back(parameters_[index]);
        arena.segments.back().begin = begin + offset;
        arena.segments.back().bucket = arena.buckets.size();
      }
      arena.buckets.push_back({begin, begin + group.length, group.members.size()});
    }
    return arena;
  }

 private:
  int64_t size_of(size_t index) const { return parameters_[index].parameter->shape().size(); }

  void add(Group group) {
    group.first = parameters_.size();
    for (auto [index, offset] : group.members) group.first = std::min(group.first, index);
    group.length = aligned(group.length, ranks_ * alignment);
    groups_.push_back(std::move(group));
  }

  void cut_anywhere(int64_t bucket_size) {
    Group group;
    for (size_t i = others_.size(); i-- > 0;) {
      group.members.emplace_back(others_[i], group.length);
      group.length += aligned(size_of(others_[i]));
      if (group.length < bucket_size && i > 0) continue;
      add(std::exchange(group, {}));
    }
  }

  // A matrix a rank. Of a last few, too few for all, the first goes to the rank after the one that
  // got the last of the size before.
  void deal_out() {
    int next = 0;
    for (const auto& [size, indices] : by_size_) {
      const int64_t piece = aligned(size);
      for (size_t left = indices.size(); left > 0;) {
        Group group{.members = {}, .length = ranks_ * piece};
        const size_t count = std::min(left, size_t(ranks_));
        for (size_t i = 0; i < count; ++i) {
          const int rank = count == size_t(ranks_) ? int(i) : (next + int(i)) % ranks_;
          group.members.emplace_back(indices[--left], rank * piece);
        }
        if (count < size_t(ranks_)) next = (next + int(count)) % ranks_;
        add(std::move(group));
      }
    }
  }

  const int ranks_;
  std::vector<Arena::Segment> parameters_;
  std::vector<size_t> others_;
  // Large matrices first: the last few of the small ones then even out what those left uneven.
  std::map<int64_t, std::vector<size_t>, std::greater<>> by_size_;
  std::vector<Group> groups_;
};

}  // namespace

Arena arrange(Module& module, int ranks, int64_t bucket_size, bool whole) {
  return Arranger(module, ranks, whole).arrange(bucket_size);
}

std::pair<int64_t, int64_t> part_range(const Arena& arena, const Arena::Segment& segment,
                                       int rank) {
  const Arena::Bucket& bucket = arena.buckets[segment.bucket];
  const int64_t piece = arena.piece(bucket);
  const int64_t first =
      bucket.begin + rank * piece - segment.begin;  // the piece's, in the parameter
  return {std::max<int64_t>(0, first), std::min(segment.parameter->shape().size(), first + piece)};
}

std::vector<Part> parts_of(const Arena& arena, int rank, const Array& gradients) {
  std::vector<Part> parts;
  for (const Arena::Segment& segment : arena.segments) {
    const auto [begin, end] = part_range(arena, segment, rank);
    if (begin >= end) continue;
    Part part{segment.name, segment.parameter, begin, end};
    const int64_t at = segment.begin + begin;
    part.gradient = gradients.slice(at, at + end - begin).reshape(part.shape());
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace folio
