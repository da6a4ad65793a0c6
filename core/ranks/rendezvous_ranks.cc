#include "core/ranks/rendezvous_ranks.h"

#include <algorithm>
#include <cstring>

#include "core/backend.h"
#include "core/ranks/check_collective.h"

namespace folio {
namespace {

constexpr size_t most_at_once = size_t{4}
                                << 20;  // bytes of a rank in one message; of whole numbers

std::string bytes_of(const Array& x) {
  std::string bytes(x.bytes(), '\0');
  backend(x)->memory.read(x, bytes.data());
  return bytes;
}

template <class T>
void add(std::string& sum, size_t at, const std::string& part) {
  for (size_t i = 0; i < part.size(); i += sizeof(T)) {
    T a, b;
    std::memcpy(&a, sum.data() + at + i, sizeof(T));
    std::memcpy(&b, part.data() + i, sizeof(T));
    a += b;
    std::memcpy(sum.data() + at + i, &a, sizeof(T));
  }
}

class RendezvousRanks : public Communicator {
 public:
  RendezvousRanks(Device device, const Rendezvous::Place& place, const Options& options)
      : device_(device), rendezvous_(place, options.timeout) {}

  int rank() const override { return rendezvous_.place().rank; }
  int size() const override { return rendezvous_.place().size; }
  Device device() const override { return device_; }

  Pending all_reduce(Array x) override {
    check_all_reduce(*this, x);
    write(sum(x), 0, x);
    return {};
  }

  Pending reduce_scatter(Array x, Array shard) override {
    check_reduce_scatter(*this, x, shard);
    write(sum(x), size_t(rank()) * shard.bytes(), shard);
    return {};
  }

  Pending all_gather(Array shard, Array x) override {
    check_all_gather(*this, shard, x);
    const std::string mine = bytes_of(shard);
    std::string all(x.bytes(), '\0');
    in_pieces(mine.size(), [&](size_t begin, size_t end) {
      const std::vector<std::string> parts = rendezvous_.gather(mine.substr(begin, end - begin));
      for (size_t from = 0; from < parts.size(); ++from)
        parts[from].copy(all.data() + from * mine.size() + begin, end - begin);
    });
    write(all, 0, x);
    return {};
  }

  Pending broadcast(Array x, int root) override {
    check_broadcast(*this, x, root);
    std::string bytes(x.bytes(), '\0');
    if (rank() == root) bytes = bytes_of(x);
    in_pieces(bytes.size(), [&](size_t begin, size_t end) {
      const std::string mine = rank() == root ? bytes.substr(begin, end - begin) : "";
      rendezvous_.gather(mine)[size_t(root)].copy(bytes.data() + begin, end - begin);
    });
    if (rank() != root) write(bytes, 0, x);
    return {};
  }

  void progress() override {}
  std::vector<std::string> gather(const std::string& mine) override {
    return rendezvous_.gather(mine);
  }
  void on_lost(std::function<void(const std::string& why)> lost) override {
    rendezvous_.on_lost(std::move(lost));
  }

 private:
  template <class Piece>
  static void in_pieces(size_t bytes, const Piece& piece) {
    for (size_t begin = 0; begin < bytes; begin += most_at_once)
      piece(begin, std::min(bytes, begin + most_at_once));
  }

  // By rank, beginning with 0.
  std::string sum(const Array& x) {
    std::string sum = bytes_of(x);
    in_pieces(sum.size(), [&](size_t begin, size_t end) {
      const std::vector<std::string> parts = rendezvous_.gather(sum.substr(begin, end - begin));
      parts[0].copy(sum.data() + begin, end - begin);
      for (size_t from = 1; from < parts.size(); ++from)
        x.dtype() == DType::f32 ? add<float>(sum, begin, parts[from])
                                : add<double>(sum, begin, parts[from]);
    });
    return sum;
  }

  static void write(const std::string& bytes, size_t begin, Array& to) {
    if (to.size() > 0) backend(to)->memory.write(bytes.data() + begin, to);
  }

  const Device device_;
  Rendezvous rendezvous_;
};

}  // namespace

std::unique_ptr<Communicator> rendezvous_ranks(Device device, const Rendezvous::Place& place,
                                               const Communicator::Options& options) {
  return std::make_unique<RendezvousRanks>(device, place, options);
}

}  // namespace folio
