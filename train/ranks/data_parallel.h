#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/ranks/communicator.h"
#include "nn/gpt.h"
#include "train/ranks/arena.h"

namespace folio {

// One model trained by several processes, each on its own micro-batches of one global batch (Li et
// al., "PyTorch Distributed", VLDB 2020). Gradients go into an array of this class as backward
// gives them, and leave in buckets while it still runs. With `shard` (ZeRO-1: Rajbhandari et al.,
// "ZeRO", SC 2020) each rank gets the sums of its pieces of the buckets alone, keeps the
// optimiser's state of these, and the updated parameters are gathered; else every rank updates
// everything.
class DataParallel {
 public:
  struct Choices {
    bool shard = true;
    bool whole_matrices = false;  // no hidden matrix is shared out: Muon's
    int64_t bucket_bytes = 4 << 20;
  };

  // Moves the parameters of `model` into one array, with rank 0's values. Both outlive this.
  DataParallel(Communicator& ranks, Gpt& model, const Choices& choices);
  ~DataParallel();
  DataParallel(const DataParallel&) = delete;
  DataParallel& operator=(const DataParallel&) = delete;

  Communicator& ranks() const { return ranks_; }
  int rank() const { return ranks_.rank(); }
  int size() const { return ranks_.size(); }
  // Micro-batch i of an iteration, or batch i of an evaluation, is this rank's.
  bool has(int64_t i) const { return i % size() == rank(); }
  bool shards() const { return choices_.shard; }
  // Streams that a forward pass draws from the model's generator.
  uint64_t draws_of_a_pass() const { return draws_; }

  // What this rank updates, with the gradients' sums once `finish_gradients` has returned.
  const std::vector<Part>& parts() const { return parts_; }

  // An iteration begins. Whatever is left of one that ended early is dropped.
  void begin();
  // The next backward is this rank's last of the iteration: what it completes can leave.
  void send_from_now_on();
  // All that has not left does, and has come; without `whole` whatever it is, for an iteration that
  // is dropped. Error for a parameter that got no gradient.
  void finish_gradients(bool whole = true);
  // The L2 norm of this rank's share of the gradients, such that that of all ranks' is the norm of
  // the whole: [] f32.
  Array share_of_norm() const;
  // Everyone's parameters, after the update.
  void gather_parameters();

  const Shape& shape_of(const std::string& parameter) const;
  // An array of the parameter's shape of which `part` is what belongs to this rank's part of it
  // (undefined: it has none), on every rank.
  Array whole(const std::string& parameter, const Array& part);

  // What each rank gave: row [n] -> [size, n].
  Array gather(const Array& row);
  // The sums over the ranks of the n numbers that `compute` gives: exact where no two ranks have
  // one that is not 0. If one was asked to stop on the way, Interrupted on all.
  std::vector<double> sum_of_shares(size_t n, const std::function<std::vector<double>()>& compute);
  // Seconds since `begin` in which the host waited for the others.
  double waited() const { return waited_; }
  // Seconds that an iteration's exchange takes when nothing hides it: the shortest of three.
  double time_exchange();

  // What the last step found: one rank was asked to save (SIGUSR1), so all do.
  bool all_save = false;
  // What a rank throws once it knows that another was asked to stop.
  [[noreturn]] static void stop_with_others();

  // The gradients of this rank's own micro-batches, or with shards() off the sums over all, by
  // name.
  void each_gradient(const std::function<void(const std::string&, const Array&)>& visit) const;

 private:
  void arrived(size_t segment);
  void send_ready();
  void wait_for_all();
  void send(const Arena::Bucket& bucket);
  const Arena::Segment& segment_of(const std::string& parameter) const;
  Array piece_of(const Array& arena, const Arena::Bucket& bucket) const;
  Array gradient_at(const Arena::Segment& segment) const;

  Communicator& ranks_;
  Gpt& model_;
  const Choices choices_;
  Arena arena_;
  Array parameters_, gradients_;  // [arena_.size()]
  std::vector<Part> parts_;
  uint64_t draws_ = 0;

  std::vector<char> has_gradient_;  // of this iteration, by segment
  std::vector<size_t> waits_for_;   // by bucket: segments that the last backward has not completed
  bool sending_ = false;
  size_t sent_ = 0;  // buckets
  std::vector<Pending> pending_;
  double waited_ = 0;
};

}  // namespace folio
