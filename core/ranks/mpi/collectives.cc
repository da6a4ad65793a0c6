#include "core/ranks/mpi/collectives.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace folio {
namespace {

// sum[i] = ((terms[0][i] + terms[1][i]) + terms[2][i]) + ...; sum may be one of the terms.
template <class T>
void add_in_order(const std::vector<const char*>& terms, char* sum, int64_t n) {
  constexpr int64_t block = 1024;  // stays in the cache
  T sums[block];
  for (int64_t at = 0; at < n; at += block) {
    int64_t count = std::min(block, n - at);
    std::memcpy(sums, terms[0] + at * int64_t(sizeof(T)), size_t(count) * sizeof(T));
    for (size_t t = 1; t < terms.size(); ++t) {
      const T* term = reinterpret_cast<const T*>(terms[t]) + at;
      if (count == block)
        for (int64_t i = 0; i < block; ++i) sums[i] += term[i];  // vectorised: its length is known
      else
        for (int64_t i = 0; i < count; ++i) sums[i] += term[i];
    }
    std::memcpy(sum + at * int64_t(sizeof(T)), sums, size_t(count) * sizeof(T));
  }
}

// Bytes [begin, end) of a share: its p-th piece.
struct Piece {
  int64_t begin, end;
  Piece(int64_t p, int64_t bytes)
      : begin(p * piece_bytes), end(std::min(bytes, (p + 1) * piece_bytes)) {}
  size_t size() const { return size_t(end - begin); }
};

int64_t slot_bytes(int64_t share_bytes) { return std::min(share_bytes, piece_bytes); }

// How many pieces of a share may be on their way to the rank that sums it.
int64_t slots_of(int size, int64_t share_bytes) {
  int64_t room = most_scratch / ((size - 1) * piece_bytes);
  return std::min(pieces_of(share_bytes), std::max<int64_t>(2, room));
}

// The ranks but this one, each beginning with the next, so that not all send to the same one first.
template <class F>
void for_each_peer(Place place, F&& f) {
  for (int step = 1; step < place.size; ++step) f((place.rank + step) % place.size);
}

// Every rank receives the others' terms of its own share, piece by piece into a few slots, and adds
// them up in the order of the ranks.
class Sum : public std::enable_shared_from_this<Sum> {
 public:
  Sum(Collective& collective, Place place, DType dtype, const char* mine, char* sum, int64_t bytes)
      : collective_(collective),
        place_(place),
        dtype_(dtype),
        mine_(mine),
        sum_(sum),
        bytes_(bytes),
        slots_(slots_of(place.size, bytes)),
        missing_(size_t(slots_)) {}
  void start() {
    collective_.scratch =
        Array({scratch_of_sum(place_.size, bytes_)}, DType::i8, collective_.arrays[0].device());
    scratch_ = static_cast<char*>(collective_.scratch.address());
    for (int64_t p = 0; p < slots_; ++p) receive(p);
  }
  std::function<void(Piece piece, int64_t p)> summed;  // called for each, if set

 private:
  char* slot(int64_t p, int rank) {  // of one of the others
    int64_t other = rank < place_.rank ? rank : rank - 1;
    return scratch_ + ((p % slots_) * (place_.size - 1) + other) * slot_bytes(bytes_);
  }
  void receive(int64_t p) {
    Piece piece(p, bytes_);
    missing_[size_t(p % slots_)] = place_.size - 1;
    for_each_peer(place_, [&](int peer) {
      collective_.exchange.receive(slot(p, peer), piece.size(), peer, place_.tag + int(p),
                                   [self = shared_from_this(), p] { self->arrived(p); });
    });
  }
  void arrived(int64_t p) {
    if (--missing_[size_t(p % slots_)] > 0) return;
    Piece piece(p, bytes_);
    std::vector<const char*> terms;
    for (int rank = 0; rank < place_.size; ++rank)
      terms.push_back(rank == place_.rank ? mine_ + piece.begin : slot(p, rank));
    if (dtype_ == DType::f32)
      add_in_order<float>(terms, sum_ + piece.begin, int64_t(piece.size() / sizeof(float)));
    else
      add_in_order<double>(terms, sum_ + piece.begin, int64_t(piece.size() / sizeof(double)));
    if (summed) summed(piece, p);
    if (p + slots_ < pieces_of(bytes_)) receive(p + slots_);
  }

  Collective& collective_;
  const Place place_;
  const DType dtype_;
  const char* const mine_;
  char* const sum_;
  const int64_t bytes_, slots_;
  char* scratch_ = nullptr;
  std::vector<int> missing_;  // terms of each slot's piece
};

}  // namespace

int64_t scratch_of_sum(int size, int64_t share_bytes) {
  return slots_of(size, share_bytes) * (size - 1) * slot_bytes(share_bytes);
}

Share share_of(int rank, int size, int64_t n, int64_t element_bytes) {
  int64_t line = 64 / element_bytes;
  int64_t share = ((n + size - 1) / size + line - 1) / line * line;
  return {std::min(n, rank * share), std::min(n, (rank + 1) * share)};
}

void start_all_reduce(Collective& collective, Place place, DType dtype, char* x, int64_t n) {
  const int64_t element = int64_t(size_of(dtype));
  auto at = [&](int rank) { return x + share_of(rank, place.size, n, element).begin * element; };
  auto bytes = [&](int rank) {
    Share share = share_of(rank, place.size, n, element);
    return (share.end - share.begin) * element;
  };
  Exchange& exchange = collective.exchange;
  char* mine = at(place.rank);
  const int64_t my_bytes = bytes(place.rank);
  const int result_tag = place.tag + int(pieces_of(bytes(0)));
  if (my_bytes > 0) {
    auto sum = std::make_shared<Sum>(collective, place, dtype, mine, mine, my_bytes);
    sum->summed = [&exchange, place, mine, result_tag](Piece piece, int64_t p) {
      for_each_peer(place, [&](int peer) {
        exchange.send(mine + piece.begin, piece.size(), peer, result_tag + int(p));
      });
    };
    sum->start();
  }
  for_each_peer(place, [&](int peer) {
    for (int64_t p = 0; p < pieces_of(bytes(peer)); ++p) {
      Piece piece(p, bytes(peer));
      char* here = at(peer) + piece.begin;
      // The sum comes to where this rank's term lies: once that has left.
      exchange.send(here, piece.size(), peer, place.tag + int(p),
                    [&exchange, here, piece, peer, tag = result_tag + int(p)] {
                      exchange.receive(here, piece.size(), peer, tag);
                    });
    }
  });
}

void start_reduce_scatter(Collective& collective, Place place, DType dtype, const char* x,
                          char* shard, int64_t n) {
  const int64_t bytes = n * int64_t(size_of(dtype));
  if (bytes == 0) return;
  std::make_shared<Sum>(collective, place, dtype, x + place.rank * bytes, shard, bytes)->start();
  for_each_peer(place, [&](int peer) {
    for (int64_t p = 0; p < pieces_of(bytes); ++p) {
      Piece piece(p, bytes);
      collective.exchange.send(x + peer * bytes + piece.begin, piece.size(), peer,
                               place.tag + int(p));
    }
  });
}

void start_all_gather(Collective& collective, Place place, const char* shard, char* x,
                      int64_t bytes) {
  char* mine = x + place.rank * bytes;
  if (mine != shard && bytes > 0) std::memcpy(mine, shard, size_t(bytes));
  for_each_peer(place, [&](int peer) {
    for (int64_t p = 0; p < pieces_of(bytes); ++p) {
      Piece piece(p, bytes);
      collective.exchange.receive(x + peer * bytes + piece.begin, piece.size(), peer,
                                  place.tag + int(p));
      collective.exchange.send(mine + piece.begin, piece.size(), peer, place.tag + int(p));
    }
  });
}

void start_broadcast(Collective& collective, Place place, char* x, int64_t bytes, int root) {
  // A chain, along which the pieces follow each other.
  int position = (place.rank - root + place.size) % place.size;
  int before = (place.rank + place.size - 1) % place.size, after = (place.rank + 1) % place.size;
  Exchange& exchange = collective.exchange;
  for (int64_t p = 0; p < pieces_of(bytes); ++p) {
    Piece piece(p, bytes);
    auto pass_on = [&exchange, x, piece, position, place, after, tag = place.tag + int(p)] {
      if (position + 1 < place.size) exchange.send(x + piece.begin, piece.size(), after, tag);
    };
    if (position == 0)
      pass_on();
    else
      exchange.receive(x + piece.begin, piece.size(), before, place.tag + int(p), pass_on);
  }
}

void start_send(Collective& collective, const char* x, int64_t bytes, int to, int tag) {
  for (int64_t p = 0; p < pieces_of(bytes); ++p) {
    Piece piece(p, bytes);
    collective.exchange.send(x + piece.begin, piece.size(), to, tag);
  }
}

void start_receive(Collective& collective, char* x, int64_t bytes, int from, int tag) {
  for (int64_t p = 0; p < pieces_of(bytes); ++p) {
    Piece piece(p, bytes);
    collective.exchange.receive(x + piece.begin, piece.size(), from, tag);
  }
}

}  // namespace folio
