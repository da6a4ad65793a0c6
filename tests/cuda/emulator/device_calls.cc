#include "tests/cuda/emulator/device_calls.h"

#include <bit>

#include "core/bfloat16.h"
#include "core/check.h"
#include "tests/cuda/emulator/block.h"

// A lane brings the address of a struct on its own stack, in which it also finds the result: it
// stays there until the last lane has computed.
namespace folio::emulator {
namespace {

struct ShuffleLane {
  Shuffle how;
  uint64_t value;
  uint32_t argument, width;
  uint64_t result;
};

// The lane whose value `lane` receives: CUDA C++ Programming Guide, "Warp shuffle functions".
uint32_t source_of(uint32_t lane, const ShuffleLane& x) {
  const uint32_t first = lane & ~(x.width - 1), last = first + x.width - 1;
  switch (x.how) {
    case Shuffle::index:
      return first + (x.argument & (x.width - 1));
    case Shuffle::up:
      return lane < first + x.argument ? lane : lane - x.argument;
    case Shuffle::down:
      return lane + x.argument > last ? lane : lane + x.argument;
    case Shuffle::exclusive_or:
      return (lane ^ x.argument) > last ? lane : lane ^ x.argument;
  }
  return lane;
}

void compute_shuffle(void* const* lanes, uint32_t mask) {
  auto at = [&](uint32_t lane) { return static_cast<ShuffleLane*>(lanes[lane]); };
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = uint32_t(std::countr_zero(rest));
    const uint32_t source = source_of(lane, *at(lane));
    if (!(mask >> source & 1))
      fail("a shuffle in which lane {} reads lane {}, which takes no part", lane, source);
    at(lane)->result = at(source)->value;
  }
}

struct BallotLane {
  bool predicate;
  uint32_t result;
};

void compute_ballot(void* const* lanes, uint32_t mask) {
  auto at = [&](uint32_t lane) { return static_cast<BallotLane*>(lanes[lane]); };
  uint32_t result = 0;
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1 && at(lane)->predicate) result |= 1u << lane;
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1) at(lane)->result = result;
}

template <class T>
struct MmaLane {
  T* d;
  const uint32_t *a, *b;
};

// d += a b, where d lies as in every mma of these shapes.
template <class T, int depth>
void add_product(const T (&a)[16][depth], const T (&b)[depth][8], void* const* lanes) {
  for (int row = 0; row < 16; ++row) {
    T sum[8] = {};
    for (int k = 0; k < depth; ++k)
      for (int column = 0; column < 8; ++column) sum[column] += a[row][k] * b[k][column];
    for (int column = 0; column < 8; ++column)
      static_cast<MmaLane<T>*>(lanes[row % 8 * 4 + column / 2])->d[row / 8 * 2 + column % 2] +=
          sum[column];
  }
}

float low(uint32_t pair) { return std::bit_cast<float>(pair << 16); }
float high(uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }

// PTX ISA, "Matrix fragments for mma.m16n8k16". Products of bf16 are exact in f32.
void compute_mma(void* const* lanes, uint32_t) {
  auto at = [&](int lane) { return static_cast<MmaLane<float>*>(lanes[lane]); };
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane / 4, pair = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      float* to = &a[group + i % 2 * 8][pair + i / 2 * 8];
      to[0] = low(at(lane)->a[i]);
      to[1] = high(at(lane)->a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      b[pair + i * 8][group] = low(at(lane)->b[i]);
      b[pair + i * 8 + 1][group] = high(at(lane)->b[i]);
    }
  }
  add_product(a, b, lanes);
}

// PTX ISA, "Matrix fragments for mma.m16n8k32".
void compute_integer_mma(void* const* lanes, uint32_t) {
  auto at = [&](int lane) { return static_cast<MmaLane<int32_t>*>(lanes[lane]); };
  int32_t a[16][32], b[32][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane / 4, four = lane % 4 * 4;
    for (int byte = 0; byte < 4; ++byte) {
      for (int i = 0; i < 4; ++i)
        a[group + i % 2 * 8][four + i / 2 * 16 + byte] = int8_t(at(lane)->a[i] >> 8 * byte);
      for (int i = 0; i < 2; ++i)
        b[four + i * 16 + byte][group] = int8_t(at(lane)->b[i] >> 8 * byte);
    }
  }
  add_product(a, b, lanes);
}

struct MatricesLane {
  uint32_t* row;
  bool transposed;
};

// PTX ISA, "ldmatrix": lane 8 m + i brings row i of matrix m, of 8 x 8 elements of 16 bits.
void compute_matrices(void* const* lanes, uint32_t) {
  uint16_t matrix[4][8][8];
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 8; ++i) {
      const uint32_t pair = static_cast<MatricesLane*>(lanes[lane])->row[i / 2];
      matrix[lane / 8][lane % 8][i] = uint16_t(i % 2 ? pair >> 16 : pair);
    }
  for (int lane = 0; lane < 32; ++lane) {
    const auto& mine = *static_cast<MatricesLane*>(lanes[lane]);
    const int row = lane / 4, pair = lane % 4 * 2;
    for (int m = 0; m < 4; ++m) {
      const uint32_t first = mine.transposed ? matrix[m][pair][row] : matrix[m][row][pair];
      const uint32_t second = mine.transposed ? matrix[m][pair + 1][row] : matrix[m][row][pair + 1];
      mine.row[m] = first | second << 16;
    }
  }
}

constexpr WarpStep shuffle_step{"a shuffle", compute_shuffle};
constexpr WarpStep ballot_step{"__ballot_sync", compute_ballot};
constexpr WarpStep mma_step{"mma", compute_mma};
constexpr WarpStep integer_mma_step{"mma of bytes", compute_integer_mma};
constexpr WarpStep matrices_step{"ldmatrix", compute_matrices};
constexpr WarpStep transposed_step{"ldmatrix.trans", compute_matrices};

}  // namespace

void barrier() { Block::current().barrier(); }
void warp_barrier(uint32_t mask) { Block::current().warp_barrier(mask); }
void after_previous_kernel() { Block::current().after_previous_kernel(); }

uint64_t shuffle(Shuffle how, uint32_t mask, uint64_t value, uint32_t argument, uint32_t width) {
  ShuffleLane lane{how, value, argument, width, 0};
  Block::current().together(shuffle_step, mask, &lane);
  return lane.result;
}

uint32_t ballot(uint32_t mask, bool predicate) {
  BallotLane lane{predicate, 0};
  Block::current().together(ballot_step, mask, &lane);
  return lane.result;
}

void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  MmaLane<float> lane{d, a, b};
  Block::current().together(mma_step, ~0u, &lane);
}

void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  MmaLane<int32_t> lane{d, a, b};
  Block::current().together(integer_mma_step, ~0u, &lane);
}

void exchange_matrices(uint32_t (&row)[4], bool transposed) {
  MatricesLane lane{row, transposed};
  Block::current().together(transposed ? transposed_step : matrices_step, ~0u, &lane);
}

void copy_async(void* to, const uint32_t (&words)[4]) { Block::current().copy_async(to, words); }
void commit_copies() { Block::current().commit_copies(); }
void wait_for_copies(int newest) { Block::current().wait_for_copies(newest); }

void* shared_variable(const void* key, size_t bytes) {
  return Block::current().shared_variable(key, bytes);
}
void* dynamic_shared(size_t bytes) { return Block::current().dynamic_shared(bytes); }

void check_alignment(const char* what, const void* address, size_t alignment) {
  check(reinterpret_cast<uintptr_t>(address) % alignment == 0,
        "{} at an address that is no multiple of {}", what, alignment);
}

}  // namespace folio::emulator
