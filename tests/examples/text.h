#pragma once
#include <set>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "data/files/files.h"
#include "data/text/utf8.h"
#include "data/tokenizer/char_tokenizer.h"
#include "sample/sampler.h"

namespace folio::examples {

struct Batch {
  Array x, y;  // [B, T] i32: y[b, t] is the character after x[b, t]
};

// A text file as ids, one a character, and rows of it from random places.
class Text {
 public:
  explicit Text(const std::string& path) {
    const std::string text = read_file(path);
    std::set<char32_t> characters;
    for_each_code_point(text, path, [&](char32_t c, size_t) { characters.insert(c); });
    tokenizer_ = CharTokenizer({characters.begin(), characters.end()});
    ids_ = tokenizer_.encode(text);
  }

  int64_t vocab_size() const { return tokenizer_.vocab_size(); }
  std::string decode(const std::vector<int32_t>& ids) const { return tokenizer_.decode(ids); }

  Batch batch(int64_t B, int64_t T) {
    check(int64_t(ids_.size()) > T, "the text has {} characters, too few for rows of {}",
          ids_.size(), T);
    std::vector<int32_t> x, y;
    const RandomStream random = generator_.next();
    for (int64_t b = 0; b < B; ++b) {
      auto row = ids_.begin() + random.block(uint64_t(b))[0] % (int64_t(ids_.size()) - T);
      x.insert(x.end(), row, row + T);
      y.insert(y.end(), row + 1, row + T + 1);
    }
    return {to_array(x, {B, T}, cpu), to_array(y, {B, T}, cpu)};
  }

 private:
  CharTokenizer tokenizer_;
  std::vector<int32_t> ids_;
  Generator generator_{1};
};

// The mean loss of a model over rows of T characters.
template <class Model>
double evaluate(const Model& model, Text& text, int64_t T) {
  NoGrad no_grad;
  double sum = 0;
  for (int i = 0; i < 20; ++i) {
    auto [x, y] = text.batch(64, T);
    sum += item(cross_entropy(model(x), y).array());
  }
  return sum / 20;
}

// `length` characters that a model draws one by one, each from the T before it; before the first
// stand T times the character whose id is 0: of most texts the newline.
template <class Model>
std::string generate(const Model& model, const Text& text, int64_t T, int length) {
  NoGrad no_grad;
  std::vector<int32_t> ids(size_t(T), 0);
  for (uint64_t i = 0; i < uint64_t(length); ++i) {
    Tensor logits = model(to_array(std::vector(ids.end() - T, ids.end()), {1, T}, cpu));
    const RowDraw row{.stream = {.seed = 1}, .number = i};
    ids.push_back(draw_tokens(slice(logits, 1, T - 1, T).array(), text.vocab_size(), {},
                              std::span(&row, 1))[0]);
  }
  return text.decode({ids.begin() + T, ids.end()});
}

}  // namespace folio::examples
