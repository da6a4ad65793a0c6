#include "core/cpu/tiles/amx.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#endif

namespace folio {

#if defined(__x86_64__) && defined(__linux__)
namespace {

// GCC 12's tile loads do not say that they read memory: what they read must have been written
// before a call that is not inlined, so tiles are multiplied through TileUnit's pointers alone.
#define FOLIO_AMX __attribute__((target("amx-tile,amx-bf16,avx512f")))

// Tiles 0 to 3 are of c, 4 and 5 of a, 6 and 7 of b.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

constexpr std::array<TileConfig, 16> configs = [] {
  std::array<TileConfig, 16> all;
  for (int rows = 1; rows <= 16; ++rows) {
    TileConfig& config = all[size_t(rows - 1)];
    for (int tile = 0; tile < 8; ++tile) {
      config.row_bytes[tile] = 64;
      config.rows[tile] = uint8_t(tile < 6 ? rows : 16);
    }
  }
  return all;
}();

FOLIO_AMX void begin(int rows) { _tile_loadconfig(&configs[size_t(rows - 1)]); }
FOLIO_AMX void end() { _tile_release(); }

constexpr int64_t panel_elements = tile_depth * panel_columns;  // of one tile's depth
constexpr int64_t ahead = 4 * panel_elements;

FOLIO_AMX __attribute__((always_inline)) inline void fetch_panel(const bfloat16* at) {
#pragma GCC unroll 32
  for (int64_t line = 0; line < panel_elements; line += 32) _mm_prefetch(at + line, _MM_HINT_T0);
}

// Tiles are loaded in the order in which products need them.
template <bool from_memory>
FOLIO_AMX void multiply_32_rows(const TileProduct& p) {
  const int64_t stride = p.c_stride * int64_t(sizeof(float));
  const int64_t of_a = p.a.row * int64_t(sizeof(bfloat16)),
                of_b = p.b.row * int64_t(sizeof(bfloat16));
  for (int64_t block = 0; block < p.blocks; ++block) {
    const bfloat16 *top = p.a.at, *bottom = p.a.at + p.a.next;
    const bfloat16* b = p.b.at + block * p.b.next;
    float *c = p.c + block * panel_columns, *below = c + tile_rows * p.c_stride;
    if (p.accumulate) {
      _tile_loadd(0, c, stride);
      _tile_loadd(1, c + 16, stride);
      _tile_loadd(2, below, stride);
      _tile_loadd(3, below + 16, stride);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    for (int64_t k = 0; k < p.depth; ++k) {
      if constexpr (from_memory) fetch_panel(b + ahead);
      _tile_loadd(4, top, of_a);
      _tile_loadd(6, b, of_b);
      _tile_loadd(7, b + 32, of_b);
      _tile_loadd(5, bottom, of_a);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
      top += p.a.depth;
      bottom += p.a.depth;
      b += p.b.depth;
    }
    _tile_stored(0, c, stride);
    _tile_stored(1, c + 16, stride);
    _tile_stored(2, below, stride);
    _tile_stored(3, below + 16, stride);
  }
}

template <bool from_memory>
FOLIO_AMX void multiply_16_rows(const TileProduct& p) {
  const int64_t stride = p.c_stride * int64_t(sizeof(float));
  const int64_t of_a = p.a.row * int64_t(sizeof(bfloat16)),
                of_b = p.b.row * int64_t(sizeof(bfloat16));
  for (int64_t block = 0; block < p.blocks; ++block) {
    const bfloat16 *a = p.a.at, *b = p.b.at + block * p.b.next;
    float* c = p.c + block * panel_columns;
    if (p.accumulate) {
      _tile_loadd(0, c, stride);
      _tile_loadd(1, c + 16, stride);
    } else {
      _tile_zero(0);
      _tile_zero(1);
    }
    for (int64_t k = 0; k < p.depth; ++k) {
      if constexpr (from_memory) fetch_panel(b + ahead);
      _tile_loadd(4, a, of_a);
      _tile_loadd(6, b, of_b);
      _tile_loadd(7, b + 32, of_b);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      a += p.a.depth;
      b += p.b.depth;
    }
    _tile_stored(0, c, stride);
    _tile_stored(1, c + 16, stride);
  }
}

void multiply(const TileProduct& p) {
  if (p.row_tiles == 1)
    p.from_memory ? multiply_16_rows<true>(p) : multiply_16_rows<false>(p);
  else
    p.from_memory ? multiply_32_rows<true>(p) : multiply_32_rows<false>(p);
}

bool in_processor() {
  unsigned a, b, c, d;
  constexpr unsigned needed = 1u << 22 | 1u << 24 | 1u << 25;  // AMX-BF16, AMX-TILE, AMX-INT8
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & needed) == needed;
}

// Linux hands out the tiles' 8 KB of state to a process that asks.
bool permitted() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

constexpr TileUnit unit{&begin, &end, &multiply};

}  // namespace

const TileUnit* amx_tiles() {
  static const TileUnit* const found = in_processor() && permitted() ? &unit : nullptr;
  return found;
}

#else

const TileUnit* amx_tiles() { return nullptr; }

#endif

}  // namespace folio
