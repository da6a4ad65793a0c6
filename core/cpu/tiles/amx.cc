#include "core/cpu/tiles/amx.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "core/cpu/machine/capability.h"
#include "core/cpu/machine/x86_intrinsics.h"
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

// Of bytes: a block of 32 is half a row of a, and 8 of the rows of b.
constexpr TileConfig bytes_config = [] {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.row_bytes[tile] = tile == 4 || tile == 5 ? 32 : 64;
    config.rows[tile] = tile < 6 ? 16 : 8;
  }
  return config;
}();

FOLIO_AMX void begin_bytes() { _tile_loadconfig(&bytes_config); }
FOLIO_AMX void begin(int rows) { _tile_loadconfig(&configs[size_t(rows - 1)]); }
FOLIO_AMX void end() { _tile_release(); }

constexpr int64_t panel_elements = tile_depth * panel_columns;  // of one tile's depth
constexpr int64_t ahead = 4 * panel_elements;

FOLIO_AMX __attribute__((always_inline)) inline void fetch_panel(const bfloat16* at) {
#pragma GCC unroll 32
  for (int64_t line = 0; line < panel_elements; line += 32) _mm_prefetch(at + line, _MM_HINT_T0);
}

// Tiles are loaded in the order in which products need them.
template <int row_tiles, bool from_memory>
FOLIO_AMX void multiply_rows(const TileProduct& p) {
  constexpr bool two = row_tiles == 2;
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
      if constexpr (two) {
        _tile_loadd(2, below, stride);
        _tile_loadd(3, below + 16, stride);
      }
    } else {
      _tile_zero(0);
      _tile_zero(1);
      if constexpr (two) {
        _tile_zero(2);
        _tile_zero(3);
      }
    }
    for (int64_t k = 0; k < p.depth; ++k) {
      if constexpr (from_memory) fetch_panel(b + ahead);
      _tile_loadd(4, top, of_a);
      _tile_loadd(6, b, of_b);
      _tile_loadd(7, b + 32, of_b);
      if constexpr (two) _tile_loadd(5, bottom, of_a);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (two) {
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      top += p.a.depth;
      bottom += p.a.depth;
      b += p.b.depth;
    }
    _tile_stored(0, c, stride);
    _tile_stored(1, c + 16, stride);
    if constexpr (two) {
      _tile_stored(2, below, stride);
      _tile_stored(3, below + 16, stride);
    }
  }
}

void multiply(const TileProduct& p) {
  if (p.row_tiles == 1)
    p.from_memory ? multiply_rows<1, true>(p) : multiply_rows<1, false>(p);
  else
    p.from_memory ? multiply_rows<2, true>(p) : multiply_rows<2, false>(p);
}

#define FOLIO_AMX_BYTES __attribute__((target("amx-tile,amx-int8,avx512f")))

// The integer products of 16 columns of two blocks; of one, if there is no other.
FOLIO_AMX_BYTES __attribute__((always_inline)) inline void multiply_two_blocks(
    const ActivationBlock* x, const ByteRecord* w, bool both, int64_t column,
    int32_t (&dots)[2][256]) {
  constexpr int64_t x_row = sizeof(ActivationBlock), w_row = 4 * block_size;
  _tile_zero(0);
  _tile_loadd(4, x, x_row);
  _tile_loadd(6, w->q + 4 * column, w_row);
  _tile_dpbssd(0, 4, 6);
  if (both) {
    _tile_zero(1);
    _tile_loadd(5, x + tile_rows, x_row);
    _tile_loadd(7, w[1].q + 4 * column, w_row);
    _tile_dpbssd(1, 5, 7);
    _tile_stored(1, dots[1], 64);
  }
  _tile_stored(0, dots[0], 64);
}

// While the unit multiplies two blocks, those before them are scaled and added to sums that stay in
// registers.
FOLIO_AMX_BYTES void multiply_bytes(const ActivationBlock* x, const ByteRecord* w, int64_t blocks,
                                    float* tile) {
  alignas(64) int32_t dots[2][2][256];
  for (int64_t column = 0; column < block_size; column += 16) {
    __m512 sum[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) sum[r] = _mm512_setzero_ps();
    multiply_two_blocks(x, w, blocks > 1, column, dots[0]);
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t next = b + 2;
      if (b % 2 == 0 && next < blocks)
        multiply_two_blocks(x + next * tile_rows, w + next, next + 1 < blocks, column,
                            dots[next / 2 % 2]);
      const int32_t* dot = dots[b / 2 % 2][b % 2];
      const __m512 scale = _mm512_loadu_ps(w[b].scale + column);
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) {
        const __m512 product = _mm512_mul_ps(scale, _mm512_set1_ps(x[b * tile_rows + r].scale));
        sum[r] =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(dot + 16 * r)), product, sum[r]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) _mm512_storeu_ps(tile + r * block_size + column, sum[r]);
  }
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

constexpr TileUnit unit{&begin, &end, &multiply, &begin_bytes, &multiply_bytes};

}  // namespace

const TileUnit* amx_tiles() {
  static const TileUnit* const found =
      may_use_amx() && in_processor() && permitted() ? &unit : nullptr;
  return found;
}

#else

const TileUnit* amx_tiles() { return nullptr; }

#endif

}  // namespace folio
