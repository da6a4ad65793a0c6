#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/corpus/prepare.h"
#include "data/corpus/split_corpus.h"
#include "data/corpus/text_chunks.h"

namespace folio {

struct Corpus {
  std::vector<Stretch> stretches;
  bool of_documents;  // the end-of-text token follows each
};

int threads_of(const PrepareOptions& options);  // how many it asks for, at least 1

struct Piece {
  const Stretch* stretch;
  TextChunk chunk;
  bool last;     // of its stretch
  int64_t line;  // of JSON lines, the number of the first
};

// The corpus in pieces, one after the other, each cut by `cut`, as a rule where no pretoken is, or,
// of JSON lines, at a line's end.
class Pieces {
 public:
  explicit Pieces(const Corpus& corpus, Cut cut = last_safe_cut)
      : corpus_(corpus), cut_(std::move(cut)) {}
  std::optional<Piece> next();  // nothing at the end; throws Error, Interrupted

 private:
  void start(const Stretch& stretch);

  const Corpus& corpus_;
  Cut cut_;
  size_t at_ = 0;
  std::optional<TextChunks> chunks_;
  bool lines_ = false;
  int64_t line_ = 1;
};

struct LineFault {
  int64_t line;
  std::string what;
};

// Calls f(text, whether a document ends with it) for the piece's text or, of JSON lines, for each
// document. Returns what is wrong with the lines that have none; Error for text that is not UTF-8.
std::vector<LineFault> each_text(const Piece& piece,
                                 const std::function<void(std::string_view, bool)>& f);

}  // namespace folio
