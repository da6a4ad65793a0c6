#include "core/ranks/mpi/mpi_communicator.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <list>
#include <thread>

#include "core/check.h"
#include "core/ranks/mpi/collectives.h"

namespace folio {
namespace {

using Clock = std::chrono::steady_clock;

// A wait for others that ends with an Error if nothing has come for `timeout`. It asks MPI again
// and again: at first at once, for what is about to come, then whenever no other rank has use for
// the core, and where it takes longer, as for rank 0's save, now and then.
class Wait {
 public:
  explicit Wait(std::chrono::seconds timeout) : timeout_(timeout) {}

  void came() { last_ = asked_ = Clock::now(); }
  bool over() {
    Clock::time_point now = Clock::now();
    if (now - asked_ > std::chrono::seconds(1)) last_ += now - asked_;  // this process was stopped
    asked_ = now;
    auto silent = now - last_;
    if (silent > std::chrono::milliseconds(2))
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    else if (silent > std::chrono::microseconds(20))
      std::this_thread::yield();
    return silent > timeout_;
  }

 private:
  const std::chrono::seconds timeout_;
  Clock::time_point last_ = Clock::now(), asked_ = last_;
};

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator(Device device, const Options& options) : device_(device), options_(options) {
    check_mpi(MPI_Comm_set_errhandler(ranks_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check_mpi(MPI_Comm_rank(ranks_, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(ranks_, &size_), "MPI_Comm_size");
    int there = 0, *most = nullptr;
    check_mpi(MPI_Comm_get_attr(ranks_, MPI_TAG_UB, &most, &there), "MPI_Comm_get_attr");
    if (there) tags_ = *most;
    meet();
  }
  ~MpiCommunicator() override {
    // While an error ends this process the others may be in calls that it will not make.
    if (std::uncaught_exceptions() > 0) {
      new auto(std::move(under_way_));  // MPI may still write there
      return;
    }
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Device device() const override { return device_; }

  Pending all_reduce(Array x) override {
    check_sum("all_reduce", x);
    x.begin_write("all_reduce");
    int64_t element = int64_t(size_of(x.dtype()));
    Share first = share_of(0, size_, x.size(), element);
    return start(
        "all_reduce", {x}, 2 * pieces_of(first.end * element),
        [this, x](Collective& it, Place place) {
          start_all_reduce(it, place, x.dtype(), address(x), x.size());
        },
        scratch_of_sum(size_, first.end * element));
  }

  Pending reduce_scatter(Array x, Array shard) override {
    check_sum("reduce_scatter", x);
    check_shard("reduce_scatter", x, shard);
    shard.begin_write("reduce_scatter");
    return start(
        "reduce_scatter", {x, shard}, pieces_of(int64_t(shard.bytes())),
        [this, x, shard](Collective& it, Place place) {
          start_reduce_scatter(it, place, x.dtype(), address(x), address(shard), shard.size());
        },
        scratch_of_sum(size_, int64_t(shard.bytes())));
  }

  Pending all_gather(Array shard, Array x) override {
    check_shard("all_gather", x, shard);
    x.begin_write("all_gather");
    return start("all_gather", {x, shard}, pieces_of(int64_t(shard.bytes())),
                 [this, x, shard](Collective& it, Place place) {
                   start_all_gather(it, place, address(shard), address(x), int64_t(shard.bytes()));
                 });
  }

  Pending broadcast(Array x, int root) override {
    check(root >= 0 && root < size_, "broadcast: rank {} is not among the {} that there are", root,
          size_);
    x.begin_write("broadcast");
    return start("broadcast", {x}, pieces_of(int64_t(x.bytes())),
                 [this, x, root](Collective& it, Place place) {
                   start_broadcast(it, place, address(x), int64_t(x.bytes()), root);
                 });
  }

  Pending send(Array x, int to) override {
    check_peer("send", to);
    return start("send", {x}, 0, [this, x, to](Collective& it, Place) {
      start_send(it, address(x), int64_t(x.bytes()), to, tags_);
    });
  }
  Pending receive(Array x, int from) override {
    check_peer("receive", from);
    x.begin_write("receive");
    return start("receive", {x}, 0, [this, x, from](Collective& it, Place) {
      start_receive(it, address(x), int64_t(x.bytes()), from, tags_);
    });
  }

  void progress() override { advance(); }

  std::vector<std::string> gather(const std::string& mine) override;

 private:
  class Work : public Pending::Work {
   public:
    Work(MpiCommunicator& communicator, std::shared_ptr<Collective> collective)
        : communicator_(communicator), collective_(std::move(collective)) {}
    bool done() override { return communicator_.advance(), collective_->done(); }
    void wait() override { communicator_.wait(*collective_); }

   private:
    MpiCommunicator& communicator_;
    std::shared_ptr<Collective> collective_;
  };

  char* address(const Array& x) const { return static_cast<char*>(x.address()); }
  void check_sum(const char* op, const Array& x) const {
    check(x.dtype() == DType::f32 || x.dtype() == DType::f64,
          "{} adds up f32 or f64, and was given {}", op, x.dtype());
  }
  void check_shard(const char* op, const Array& x, const Array& shard) const {
    check(x.size() == shard.size() * size_ && x.dtype() == shard.dtype(),
          "{}: shards of {} {} on {} ranks are not {} {}", op, shard.dtype(), shard.shape(), size_,
          x.dtype(), x.shape());
  }

  void check_peer(const char* op, int peer) const {
    check(peer >= 0 && peer < size_ && peer != rank_, "{}: rank {} is not another one of the {}",
          op, peer, size_);
  }

  using Begin = std::function<void(Collective&, Place)>;
  Pending start(const char* op, std::vector<Array> arrays, int64_t tags, Begin begin,
                int64_t scratch_bytes = 0);
  void begin_those_with_room();
  int take_tags(int64_t count);
  int advance();
  void wait(Collective& collective);
  // Whether it was done within `timeout`.
  bool wait(MPI_Request request, const char* call, std::chrono::seconds timeout);
  void meet();

  const Device device_;
  const Options options_;
  const MPI_Comm ranks_ = MPI_COMM_WORLD;  // nobody else uses it here
  int rank_ = 0, size_ = 1;
  int tags_ = 32767, next_tag_ = 0;  // those of collectives are below tags_
  std::list<std::shared_ptr<Collective>> under_way_;
};

Pending MpiCommunicator::start(const char* op, std::vector<Array> arrays, int64_t tags, Begin begin,
                               int64_t scratch_bytes) {
  const Array& x = arrays[0];
  if (x.size() == 0) return {};
  auto collective = std::make_shared<Collective>(
      fmt::format("{} of {} {}", op, x.dtype(), x.shape()), ranks_, std::move(arrays));
  collective->scratch_bytes = scratch_bytes;
  collective->begin = [it = collective.get(), begin = std::move(begin),
                       place = Place{rank_, size_, take_tags(tags)}] { begin(*it, place); };
  under_way_.push_back(collective);
  begin_those_with_room();
  return Pending(std::make_unique<Work>(*this, collective));
}

// Of several sums the first ones have the network and the memory: those behind wait for their turn.
// Whatever the first of all waits for has begun on the other ranks, or is the first there too.
void MpiCommunicator::begin_those_with_room() {
  int64_t scratch = 0;
  for (const std::shared_ptr<Collective>& it : under_way_) {
    scratch += it->scratch_bytes;
    if (it->begun) continue;
    if (it->scratch_bytes > 0 && scratch > std::max(most_scratch, it->scratch_bytes)) continue;
    it->begun = true;
    RunningOn on(device_);
    it->begin();
  }
}

// The same on every rank, for all make the same calls. Those of an operation long done are used
// again.
int MpiCommunicator::take_tags(int64_t count) {
  check(count <= tags_, "{} messages at once are more than this MPI tells apart ({})", count,
        tags_);
  if (next_tag_ + count > tags_) next_tag_ = 0;
  int first = next_tag_;
  next_tag_ += int(count);
  return first;
}

// How many messages have come or gone.
int MpiCommunicator::advance() {
  int through = 0;
  for (auto it = under_way_.begin(); it != under_way_.end();) {
    through += (*it)->exchange.advance();
    it = (*it)->done() ? under_way_.erase(it) : std::next(it);
  }
  if (through > 0) begin_those_with_room();
  return through;
}

void MpiCommunicator::wait(Collective& collective) {
  Wait wait(options_.timeout);
  while (true) {
    int through = advance();
    if (collective.done()) return;
    const Collective& first = *under_way_.front();  // what others wait behind
    if (through > 0)
      wait.came();
    else
      check(!wait.over(),
            "{}: nothing has come from rank {} for {} s; if it is not stuck, allow for longer "
            "(comm_timeout)",
            first.name, fmt::join(first.exchange.waiting_for(), ", "), options_.timeout.count());
  }
}

bool MpiCommunicator::wait(MPI_Request request, const char* call, std::chrono::seconds timeout) {
  Wait wait(timeout);
  int done = 0;
  while (true) {
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), call);
    if (done) return true;
    advance();
    if (wait.over()) return false;
  }
}

// The first words between all ranks. Their processes have started together: it takes no time,
// unless MPI sends to an address that is not the other host's.
void MpiCommunicator::meet() {
  MPI_Request request;
  check_mpi(MPI_Ibarrier(ranks_, &request), "MPI_Ibarrier");
  auto most = std::min<std::chrono::seconds>(options_.timeout, std::chrono::minutes(1));
  check(wait(request, "MPI_Ibarrier", most),
        "the ranks do not reach each other: nothing has come for {} s. Where hosts have several "
        "networks, name the one that they share (mpirun --mca btl_tcp_if_include 10.0.0.0/24) or "
        "leave out those that each has for itself (--mca btl_tcp_if_exclude lo,docker0)",
        most.count());
}

std::vector<std::string> MpiCommunicator::gather(const std::string& mine) {
  int length = int(mine.size());
  const size_t size = size_t(size_);
  std::vector<int> lengths(size), begins(size);
  MPI_Request request;
  check_mpi(MPI_Iallgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, ranks_, &request),
            "MPI_Iallgather");
  auto wait_for_all = [&](const char* call) {
    check(wait(request, call, options_.timeout),
          "gather: not every rank has given its part for {} s; if none is stuck, allow for longer "
          "(comm_timeout)",
          options_.timeout.count());
  };
  wait_for_all("MPI_Iallgather");
  int total = 0;
  for (size_t r = 0; r < size; ++r) {
    begins[r] = total;
    total += lengths[r];
  }
  std::string all(size_t(total), '\0');
  check_mpi(MPI_Iallgatherv(mine.data(), length, MPI_BYTE, all.data(), lengths.data(),
                            begins.data(), MPI_BYTE, ranks_, &request),
            "MPI_Iallgatherv");
  wait_for_all("MPI_Iallgatherv");
  std::vector<std::string> texts;
  for (size_t r = 0; r < size; ++r)
    texts.push_back(all.substr(size_t(begins[r]), size_t(lengths[r])));
  return texts;
}

// Over TCP Open MPI asks the receiver before it sends more than 64 KiB, and the answer comes behind
// all that the receiver itself is sending: two ranks would send in turns, each with half its link.
// So a piece is sent without asking. What the user has set stays.
void send_pieces_at_once() {
  const std::string bytes = std::to_string(piece_bytes + 4096);  // with MPI's header
  for (const char* name : {"OMPI_MCA_btl_tcp_eager_limit", "OMPI_MCA_btl_tcp_rndv_eager_limit",
                           "OMPI_MCA_btl_tcp_max_send_size"})
    setenv(name, bytes.c_str(), 0);
}

}  // namespace

std::unique_ptr<Communicator> mpi_ranks(Device device, const Communicator::Options& options) {
  send_pieces_at_once();
  int got = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &got), "MPI_Init_thread");
  return std::make_unique<MpiCommunicator>(device, options);
}

}  // namespace folio
