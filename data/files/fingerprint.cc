#include "data/files/fingerprint.h"

namespace folio {

void each_sample(int64_t size, const std::function<void(int64_t begin, int64_t end)>& f) {
  constexpr int64_t most_read_whole = 16 << 20, block = 4096, blocks_between = 64;
  if (size <= most_read_whole) {
    f(0, size);
    return;
  }
  constexpr int64_t last = blocks_between + 1;
  int64_t spacing = (size - block) / last;
  for (int64_t i = 0; i <= last; ++i) {
    int64_t begin = i == last ? size - block : i * spacing & ~1;  // 16-bit tokens stay whole
    f(begin, begin + block);
  }
}

Digest fingerprint(std::string_view bytes) {
  Sha256 hash;
  char size[8];
  for (int i = 0; i < 8; ++i) size[i] = char(uint64_t(bytes.size()) >> 8 * i);
  hash.update({size, sizeof size});
  each_sample(int64_t(bytes.size()), [&](int64_t begin, int64_t end) {
    hash.update(bytes.substr(size_t(begin), size_t(end - begin)));
  });
  return hash.digest();
}

}  // namespace folio
