// Operands are brought into the second-level cache as tiles, for beyond it a unit waits for its
// loads: a panel of columns in chunks of the depth, rows 32 at a time. The order of an element's
// sum depends on the depth alone.
#include "core/cpu/tiles/tile_gemm.h"

#include <algorithm>

#include "core/cpu/scratch.h"
#include "core/cpu/tiles/packing.h"

namespace folio {
namespace {

constexpr int64_t strip_rows = 2 * tile_rows;

constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// The parts of n, all but the last of one size: as even as multiples of `unit` can be, and at most
// `most`, a multiple of it.
struct Parts {
  int64_t n, size, count;

  Parts(int64_t n, int64_t most, int64_t unit) : n(n) {
    const int64_t fewest = std::max<int64_t>(1, (n + most - 1) / most);
    size = std::max(unit, round_up((n + fewest - 1) / fewest, unit));
    count = (n + size - 1) / size;
  }
  int64_t begin(int64_t i) const { return i * size; }
  int64_t length(int64_t i) const { return std::min(size, n - i * size); }
};

// Rows of a, as one or two row tiles [tiles][depth / 32][16][32].
struct Strip {
  bfloat16* tiles;
  int64_t rows = 0, depth = 0;  // depth: in tiles

  void pack(const Operand& a, int64_t n, int64_t deep) {
    rows = n;
    depth = (deep + tile_depth - 1) / tile_depth;
    for (int64_t i = 0; i < rows; i += tile_rows)
      pack_row_tile(a.at(i, 0), std::min(tile_rows, rows - i), deep,
                    tiles + i * depth * tile_depth);
  }
  int row_tiles() const { return rows > tile_rows ? 2 : 1; }
  static int64_t size(int64_t deep) { return strip_rows * round_up(deep, tile_depth); }
};

// c [strip, columns] (+)= strip b. Blocks that reach beyond c, unless it has `room` for whole
// tiles, go through a block of their own.
void multiply_strip(const TileUnit& unit, const Strip& strip, const bfloat16* panels,
                    int64_t panel_step, int64_t columns, float* c, int64_t ldc, bool accumulate,
                    bool room = false) {
  TileProduct product{packed_row_tiles(strip.tiles, strip.depth),
                      packed_panels(panels, panel_step),
                      strip.depth,
                      0,
                      c,
                      ldc,
                      strip.row_tiles(),
                      accumulate};
  if (room) columns = round_up(columns, panel_columns);
  product.blocks = room || strip.rows % tile_rows == 0 ? columns / panel_columns : 0;
  if (product.blocks > 0) unit.multiply(product);
  alignas(64) float edge[strip_rows * panel_columns];
  int64_t j = product.blocks * panel_columns;
  product.b.at += product.blocks * panel_step;
  product.c = edge;
  product.c_stride = panel_columns;
  product.blocks = 1;
  for (; j < columns; j += panel_columns, product.b.at += panel_step) {
    const int64_t width = std::min(panel_columns, columns - j);
    for (int64_t i = 0; accumulate && i < strip.rows; ++i)
      std::copy_n(c + i * ldc + j, width, edge + i * panel_columns);
    unit.multiply(product);
    for (int64_t i = 0; i < strip.rows; ++i)
      std::copy_n(edge + i * panel_columns, width, c + i * ldc + j);
  }
}

// How a [m, k] meets panels of b: chunks of the depth, columns whose panels fill half of a cache of
// 2 MB, and blocks of rows for each of which the panels are worth fetching.
struct Blocking {
  Parts depth, columns, rows;

  static constexpr int64_t panel_elements = 1 << 19, most_depth = 2048;
  Blocking(int64_t m, int64_t n, int64_t k)
      : depth(k, most_depth, tile_depth),
        columns(n,
                std::max(panel_elements / depth.size / panel_columns, int64_t(1)) * panel_columns,
                panel_columns),
        rows(m, 256, strip_rows) {
    const int64_t wanted = 4 * parallel_threads();  // tasks; no sum is cut
    for (int64_t most = 128; most >= strip_rows && rows.count * columns.count < wanted; most /= 2)
      rows = Parts(m, most, strip_rows);
  }
};

struct Rows {
  const TileUnit& unit;
  const Operand& a;
  const TilePanels& b;
  float* c;  // [m, n], or null: `finish` takes the sums
  FinishRow finish;
  void* context;
};

// Columns [j, j + columns) of rows [i, i + rows).
void multiply_block(const Rows& r, const Blocking& blocking, int64_t i, int64_t rows, int64_t j,
                    int64_t columns) {
  constexpr int64_t most_columns = 256;  // whose sums stay in the first-level cache
  const Parts& depth = blocking.depth;
  const int64_t panel_step = round_up(r.b.k, tile_depth) * panel_columns;
  const int64_t at_once = depth.count == 1 ? strip_rows : rows;
  const int64_t stride = r.c ? r.b.n : round_up(columns, panel_columns);
  const int64_t size = r.c ? 0 : round_up(at_once, strip_rows) * stride;
  Scratch scratch(Scratch::bytes_for<bfloat16>(Strip::size(depth.size)) +
                  Scratch::bytes_for<float>(size));
  Strip strip{scratch.take<bfloat16>(Strip::size(depth.size))};
  float* sums = scratch.take<float>(size);
  const auto* panels = r.b.data.data<bfloat16>() + j / panel_columns * panel_step;
  const TileSession session(r.unit);
  for (int64_t top = i; top < i + rows; top += at_once) {
    for (int64_t l = 0; l < depth.count; ++l) {
      for (int64_t row = top; row < std::min(top + at_once, i + rows); row += strip_rows) {
        const int64_t height = std::min(strip_rows, i + rows - row);
        strip.pack(r.a.at(row, depth.begin(l)), height, depth.length(l));
        float* to = r.c ? r.c + row * stride + j : sums + (row - top) * stride;
        for (int64_t x = 0; x < columns; x += most_columns) {
          const int64_t width = std::min(most_columns, columns - x);
          multiply_strip(r.unit, strip,
                         panels + x / panel_columns * panel_step + depth.begin(l) * panel_columns,
                         panel_step, width, to + x, stride, l > 0, !r.c);
          for (int64_t q = 0; r.finish && l + 1 == depth.count && q < height; ++q)
            r.finish(r.context, to + q * stride + x, row + q, j + x, width);
        }
      }
    }
  }
}

void multiply_rows(const Rows& r, int64_t m) {
  const Blocking blocking(m, r.b.n, r.b.k);
  const Parts &rows = blocking.rows, &columns = blocking.columns;
  // A thread's tasks are neighbours: they share the columns, which stay in its cache.
  parallel_for(rows.count * columns.count, [&](int64_t task) {
    const int64_t i = task % rows.count, j = task / rows.count;
    multiply_block(r, blocking, rows.begin(i), rows.length(i), columns.begin(j), columns.length(j));
  });
}

}  // namespace

void tile_gemm(const TileUnit& unit, int64_t m, int64_t n, int64_t k, const Operand& a,
               const Operand& b, float* c, int64_t ldc, bool accumulate) {
  const Parts depth(k, 512, tile_depth), columns(n, 512, panel_columns);
  const int64_t of_panels = columns.size * depth.size;
  Scratch scratch(Scratch::bytes_for<bfloat16>(Strip::size(depth.size)) +
                  Scratch::bytes_for<bfloat16>(of_panels));
  Strip strip{scratch.take<bfloat16>(Strip::size(depth.size))};
  auto* panels = scratch.take<bfloat16>(of_panels);
  const TileSession session(unit);
  for (int64_t x = 0; x < columns.count; ++x) {
    const int64_t j = columns.begin(x), width = columns.length(x);
    for (int64_t y = 0; y < depth.count; ++y) {
      const int64_t l = depth.begin(y), deep = depth.length(y);
      const int64_t panel_step = round_up(deep, tile_depth) * panel_columns;
      for (int64_t q = 0; q < width; q += panel_columns)
        pack_panel(b.at(l, j + q), deep, std::min(panel_columns, width - q),
                   panels + q / panel_columns * panel_step);
      for (int64_t i = 0; i < m; i += strip_rows) {
        strip.pack(a.at(i, l), std::min(strip_rows, m - i), deep);
        multiply_strip(unit, strip, panels, panel_step, width, c + i * ldc + j, ldc,
                       accumulate || l > 0);
      }
    }
  }
}

void parallel_tile_gemm(const TileUnit& unit, int64_t m, int64_t n, int64_t k, const Operand& a,
                        const Operand& b, float* c, bool accumulate) {
  const Parts columns(n, 512, panel_columns);
  Parts rows(m, 384, strip_rows);
  const int64_t wanted = 4 * parallel_threads();  // tasks; no sum is cut
  for (int64_t most = 192; most >= strip_rows && rows.count * columns.count < wanted; most /= 2)
    rows = Parts(m, most, strip_rows);
  parallel_for(rows.count * columns.count, [&](int64_t task) {
    const int64_t x = task / columns.count, y = task % columns.count;
    const int64_t i = rows.begin(x), j = columns.begin(y);
    tile_gemm(unit, rows.length(x), columns.length(y), k, a.at(i, 0), b.at(0, j), c + i * n + j, n,
              accumulate);
  });
}

TilePanels pack_panels(const Operand& b, int64_t k, int64_t n, Device device) {
  const Parts depth(k, 512, tile_depth);
  const int64_t panels = (n + panel_columns - 1) / panel_columns;
  const int64_t tiles = (k + tile_depth - 1) / tile_depth;
  TilePanels packed{Array({panels, tiles, tile_depth / 2, panel_columns, 2}, DType::bf16, device),
                    k, n};
  auto* to = packed.data.data<bfloat16>();
  // Neighbouring tasks read neighbouring columns of the same rows.
  parallel_for(panels * depth.count, [&](int64_t task) {
    const int64_t p = task % panels, l = task / panels, j = p * panel_columns;
    pack_panel(b.at(depth.begin(l), j), depth.length(l), std::min(panel_columns, n - j),
               to + p * tiles * tile_depth * panel_columns + depth.begin(l) * panel_columns);
  });
  return packed;
}

void tile_product(const TileUnit& unit, int64_t m, const Operand& a, const TilePanels& b,
                  float* c) {
  multiply_rows({unit, a, b, c, nullptr, nullptr}, m);
}

void run_tile_product(const TileUnit& unit, int64_t m, const Operand& a, const TilePanels& b,
                      FinishRow finish, void* context) {
  multiply_rows({unit, a, b, nullptr, finish, context}, m);
}

}  // namespace folio
