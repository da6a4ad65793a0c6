#include "sample/loss_by_position.h"

#include <algorithm>
#include <cmath>

#include "core/process/stop.h"
#include "data/files/mapped_file.h"

namespace folio {
namespace {

// Segment j of the split are the T tokens that follow its token j T. Text i begins there, and its
// band k predicts segment i + k; counted are segments [first, past), which every band predicts.
class Bands {
 public:
  Bands(Gpt& model, const TokenFile& split, const ContextWindow& window, int64_t bands,
        int64_t first, int64_t past)
      : model_(model),
        split_(split),
        window_(window),
        first_(first),
        past_(past),
        sums_(size_t(bands)) {}

  // Texts [text, text + B), as far as a segment of theirs is counted.
  void add(int64_t text, int64_t B) {
    const int64_t T = window_.block_size;
    const int64_t last = std::min(std::ssize(sums_), past_ - text) * T;
    KvCache cache = model_.make_cache(B, T);
    for (int64_t length = 1, start = 0; length <= last; ++length) {
      if (window_.start(length) != start) cache.clear();
      start = window_.start(length);
      int64_t at = start + cache.length();
      for (; length - at > cache.most_new(); at += cache.most_new())
        read(text, at, at + cache.most_new(), length, cache);
      // With it, the longer ones of its band for which the start is the same.
      const int64_t from = length;
      while (length % T != 0 && window_.start(length + 1) == start &&
             length + 1 - at <= cache.most_new())
        ++length;
      read(text, at, length, from, cache);
    }
  }

  PositionLoss result() const {
    PositionLoss result{.bands = sums_, .tokens = (past_ - first_) * window_.block_size};
    for (double& sum : result.bands) sum /= double(result.tokens);
    return result;
  }

 private:
  // Tokens [begin, end) of each text, and the loss of what follows `from` or more of its tokens.
  void read(int64_t text, int64_t begin, int64_t end, int64_t from, KvCache& cache) {
    throw_if_stopped();
    const int64_t T = window_.block_size, band = (end - 1) / T;
    std::vector<int32_t> x, y;
    int64_t counted = 0;
    for (int64_t row = text; row < text + cache.batch(); ++row) {
      // Of the last texts, what lies past all that is counted is read as token 0.
      std::vector<int32_t> ids(size_t(end - begin + 1));
      const int64_t first = row * T + begin, there = past_ * T + 1 - first;
      if (there > 0)
        split_.read(first, std::span(ids).first(size_t(std::min(there, std::ssize(ids)))));
      const bool counts = first_ <= row + band && row + band < past_;
      x.insert(x.end(), ids.begin(), ids.end() - 1);
      for (int64_t length = begin + 1; length <= end; ++length)
        y.push_back(counts && length >= from ? ids[size_t(length - begin)] : -1);
      if (counts) counted += std::max<int64_t>(0, end - from + 1);
    }
    const Shape shape{cache.batch(), end - begin};
    const int64_t V = model_.config().vocab_size;
    const Device device = model_.context().device;
    const Array tokens = token_ids(x, shape, V, device, split_.path());
    const Array targets = target_ids(y, shape, V, device, split_.path());
    const double loss = item(model_.loss(tokens, targets, 1, &cache).array());
    if (counted == 0) return;  // read for what it leaves in the cache
    check(std::isfinite(loss),
          "{}: the model's loss after {} tokens is {}; a weight is NaN or far too large: its "
          "training diverged, or its file is damaged",
          split_.path(), end, loss);
    sums_[size_t(band)] += loss * double(counted);
  }

  Gpt& model_;
  const TokenFile& split_;
  const ContextWindow& window_;
  const int64_t first_, past_;
  std::vector<double> sums_;
};

}  // namespace

PositionLoss loss_by_position(Gpt& model, const TokenFile& split, const ContextWindow& window,
                              int64_t bands, int64_t tokens, int64_t batch_size) {
  NoGrad no_grad;
  Interruptible scope;
  model.context().training = false;
  const int64_t T = window.block_size, past = (split.size() - 1) / T;
  int64_t first = bands - 1;
  check(past > first,
        "{}: a text of {} times the model's block_size, {}, needs {} tokens, but there are {}; ask "
        "for fewer",
        split.path(), bands, T, bands * T + 1, split.size());
  if (tokens > 0) first = std::max(first, past - (tokens + T - 1) / T);
  Bands all(model, split, window, bands, first, past);
  for (int64_t text = first - bands + 1; text < past; text += batch_size)
    all.add(text, std::min(batch_size, past - text));
  check_mapped_files();  // the weights may lie in one
  return all.result();
}

}  // namespace folio
