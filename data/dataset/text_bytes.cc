#include "data/dataset/text_bytes.h"

#include <algorithm>
#include <vector>

namespace folio {

int64_t text_bytes(const TokenFile& tokens, const Tokenizer& tokenizer, int64_t begin) {
  std::vector<int64_t> bytes(static_cast<size_t>(tokenizer.vocab_size()));
  for (size_t id = 0; id < bytes.size(); ++id) {
    auto one = int32_t(id);
    if (one != tokenizer.end_of_text()) bytes[id] = int64_t(tokenizer.decode({&one, 1}).size());
  }
  for (int32_t id : tokenizer.start_tokens()) bytes[size_t(id)] = 0;
  constexpr int64_t block = 1 << 16;
  int64_t total = 0;
  std::vector<int32_t> ids;
  for (; begin < tokens.size(); begin += block) {
    ids.resize(size_t(std::min(block, tokens.size() - begin)));
    tokens.read(begin, ids);
    for (int32_t id : ids) total += bytes[size_t(id)];
  }
  return total;
}

}  // namespace folio
