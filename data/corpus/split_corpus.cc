#include "data/corpus/split_corpus.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/check.h"
#include "core/random.h"
#include "data/corpus/json_lines.h"
#include "data/corpus/text_chunks.h"

namespace folio {
namespace {

size_t anywhere(std::string_view text) { return text.size(); }

// Where the line starts that byte `offset` is in.
int64_t line_before(const CorpusFile& text, int64_t offset) {
  constexpr int64_t block = 1 << 16;
  for (int64_t end = offset; end > 0; end -= block) {
    int64_t begin = std::max<int64_t>(end - block, 0);
    auto chunk = TextChunks(text.path, begin, end, block, anywhere).next();
    size_t at = chunk->text.rfind('\n');
    if (at != std::string::npos) return begin + int64_t(at) + 1;
  }
  return 0;
}

int64_t line_after(const CorpusFile& text, int64_t offset) {
  TextChunks chunks(text.path, offset, text.bytes, 1 << 16, anywhere);
  while (auto chunk = chunks.next())
    if (size_t at = chunk->text.find('\n'); at != std::string::npos)
      return chunk->offset + int64_t(at) + 1;
  return text.bytes;
}

int64_t cut_of(const CorpusFile& text, double val_fraction) {
  if (is_json_lines(text.path)) {
    auto offset = int64_t(double(text.bytes) * (1 - val_fraction));
    int64_t line = line_before(text, offset);
    return line > 0 ? line : line_after(text, offset);
  }
  CharacterCount characters(text.path);
  return characters.offset(int64_t(double(characters.characters()) * (1 - val_fraction)));
}

// For each file, whether it is in val; empty where no choice is within the limits.
std::vector<bool> draw(const std::vector<CorpusFile>& files, double val_fraction) {
  double total = 0, val = 0;
  for (const CorpusFile& file : files) total += double(file.bytes);
  double wanted = total * val_fraction, most = std::min(2 * wanted, total / 2 + wanted / 2);
  std::vector<size_t> order(files.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::vector<bool> chosen(files.size());
  RandomStream stream{.seed = 2357};
  for (size_t i = 0; i < order.size() && (i == 0 || val < std::floor(wanted)); ++i) {
    size_t other = i + uniform_below(order.size() - i, stream, i);
    std::swap(order[i], order[other]);
    auto bytes = double(files[order[i]].bytes);
    if (val + bytes > most) continue;
    chosen[order[i]] = true;
    val += bytes;
  }
  return val > 0 && val >= wanted / 2 ? chosen : std::vector<bool>();
}

}  // namespace

std::vector<Stretch> split_text(const CorpusFile& text, const std::string& name,
                                double val_fraction) {
  int64_t cut = cut_of(text, val_fraction);
  return {{text.path, name, 0, cut, Split::train}, {text.path, name, cut, text.bytes, Split::val}};
}

std::vector<Stretch> split_files(const std::vector<CorpusFile>& files, double val_fraction) {
  std::vector<Stretch> stretches;
  std::vector<bool> in_val = draw(files, val_fraction);
  for (size_t i = 0; i < files.size(); ++i) {
    const auto& [path, bytes] = files[i];
    if (!in_val.empty()) {
      stretches.push_back({path, path, 0, bytes, in_val[i] ? Split::val : Split::train});
      continue;
    }
    for (Stretch& part : split_text(files[i], path, val_fraction))
      if (part.begin < part.end) stretches.push_back(std::move(part));
  }
  return stretches;
}

}  // namespace folio
