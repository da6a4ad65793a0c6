#include "data/corpus/train_tokenizer.h"

#include "core/process/progress_line.h"
#include "core/text/numbers.h"
#include "data/corpus/left_out.h"
#include "data/corpus/map_in_order.h"
#include "data/tokenizer/training/train_bpe.h"

namespace folio {
namespace {

// Without the tokens that allow_special takes out of a text.
void count_text(std::string_view text, bool allow_special, PretokenCounts& counts) {
  for (size_t found; allow_special && (found = text.find(end_of_text_token)) != text.npos;
       text.remove_prefix(found + end_of_text_token.size()))
    counts.add_text(text.substr(0, found));
  counts.add_text(text);
}

}  // namespace

std::shared_ptr<const BpeTokenizer> train_tokenizer(const Corpus& corpus,
                                                    const PrepareOptions& options) {
  Corpus train{{}, corpus.of_documents};
  int64_t total = 0, done = 0;
  for (const Stretch& stretch : corpus.stretches) {
    if (stretch.split != Split::train) continue;
    train.stretches.push_back(stretch);
    total += stretch.end - stretch.begin;
  }
  SharedPretokenCounts counts;
  LeftOut left_out("line", options.strict);  // told of when the lines are encoded
  struct Counted {
    const Stretch* stretch;
    int64_t bytes;
    std::vector<LineFault> faults;
  };
  {
    ProgressLine line("counting words", total);
    Pieces pieces(train);
    map_in_order(
        threads_of(options), [&] { return pieces.next(); },
        [&](Piece&& piece) {
          PretokenCounts part;
          auto faults = each_text(piece, [&](std::string_view text, bool) {
            count_text(text, options.allow_special, part);
          });
          counts.add(part);
          return Counted{piece.stretch, int64_t(piece.chunk.text.size()), std::move(faults)};
        },
        [&](Counted&& counted) {
          for (const LineFault& fault : counted.faults)
            left_out.add(fmt::format("{}:{}", counted.stretch->name, fault.line), fault.what);
          line.update(done += counted.bytes);
        });
  }
  options.tell(fmt::format("training a tokenizer on {} different words\n",
                           with_commas(int64_t(counts.size()))));
  return std::make_shared<BpeTokenizer>(
      train_bpe(counts, {.vocab_size = options.vocab_size, .min_frequency = options.min_frequency}),
      "the trained tokenizer");
}

}  // namespace folio
