#include "data/tokenizer/training/train_bpe.h"

#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/process/progress_line.h"
#include "core/process/stop.h"
#include "core/text/numbers.h"
#include "data/tokenizer/byte_alphabet.h"
#include "data/tokenizer/training/pair_queue.h"
#include "data/tokenizer/training/symbols.h"

namespace folio {
namespace {

// <|endoftext|> and the bytes by their spelling: UTF-8 sorts as the code points do.
BpeVocabulary without_merges() {
  std::array<std::string, 256> bytes;
  for (size_t byte = 0; byte < 256; ++byte) bytes[byte] = std::string(1, char(byte));
  std::ranges::sort(bytes, {}, [](const std::string& byte) { return spell_bytes(byte); });
  BpeVocabulary vocabulary;
  vocabulary.tokens.emplace_back(end_of_text_token);
  vocabulary.added[std::string(end_of_text_token)] = {.id = 0};
  vocabulary.tokens.insert(vocabulary.tokens.end(), bytes.begin(), bytes.end());
  return vocabulary;
}

// The neighbours of a pair's places on one side: how often each occurs there, and where.
class Neighbours {
 public:
  void add(int32_t id, int64_t count, uint32_t place) {
    if (size_t(id) >= of_.size()) of_.resize(size_t(id) + 1);
    Found& found = of_[size_t(id)];
    if (found.places.empty()) met_.push_back(id);
    found.count += count;
    found.places.push_back(place);
  }
  // f(id, count, places) for each, and forgets them.
  template <class F>
  void take_each(F&& f) {
    for (int32_t id : met_) {
      Found found = std::exchange(of_[size_t(id)], {});
      f(id, found.count, std::move(found.places));
    }
    met_.clear();
  }

 private:
  struct Found {
    int64_t count = 0;
    Places places = {};
  };
  std::vector<Found> of_;  // by id
  std::vector<int32_t> met_;
};

class Trainer {
 public:
  Trainer(const SharedPretokenCounts& counts, const BpeTrainerOptions& options)
      : options_(options),
        vocabulary_(without_merges()),
        symbols_(counts, vocabulary_.tokens),
        pairs_(options.min_frequency) {
    symbols_.each_pair([&](Pair pair, int64_t count, Places places) {
      pairs_.add(pair, count, std::move(places));
    });
  }

  BpeVocabulary run() {
    constexpr size_t quick = 8 << 20;  // bytes
    int64_t merges = options_.vocab_size - least_bpe_vocab;
    ProgressLine line("training the tokenizer", merges, symbols_.size() < quick ? merges + 1 : 0,
                      "merges");
    while (int64_t(vocabulary_.tokens.size()) < options_.vocab_size) {
      throw_if_stopped();
      auto best = pairs_.take();
      if (!best) fail_short(merges);
      merge(best->pair, best->places);
      line.update(int64_t(vocabulary_.merges.size()));
    }
    return std::move(vocabulary_);
  }

 private:
  [[noreturn]] void fail_short(int64_t wanted) const {
    auto found = int64_t(vocabulary_.merges.size());
    fail(
        "vocab_size={} asks for {} merges, but the text has only {} that occur {} times or more; "
        "give vocab_size={} or less, or a longer text",
        options_.vocab_size, with_commas(wanted), with_commas(found), options_.min_frequency,
        least_bpe_vocab + found);
  }

  // The pair's two symbols become one at all its places, from the left to the right.
  void merge(Pair pair, const Places& places) {
    const auto merged = int32_t(vocabulary_.tokens.size());
    vocabulary_.tokens.push_back(vocabulary_.tokens[size_t(pair.left)] +
                                 vocabulary_.tokens[size_t(pair.right)]);
    vocabulary_.merges.emplace_back(pair.left, pair.right);
    symbols_.add_token(vocabulary_.tokens.back().size());
    int64_t in_a_row = 0;  // merged symbols that follow one another: (pair)(pair)
    Places rows;
    for (uint32_t place : places) {
      if (!symbols_.has(place, pair)) continue;
      const int64_t count = symbols_.count(place);
      symbols_.merge(place, pair, merged);
      int32_t before = symbols_.before(place), after = symbols_.after(place);
      if (before == merged) {
        in_a_row += count;
        rows.push_back(symbols_.start_before(place));
      } else if (before >= 0) {
        before_.add(before, count, symbols_.start_before(place));
      }
      if (after >= 0) after_.add(after, count, place);
    }
    // Where two merged ones are in a row, the first was counted as one before pair.left.
    before_.take_each([&](int32_t id, int64_t count, Places at) {
      pairs_.subtract({id, pair.left}, count);
      pairs_.add({id, merged}, count, std::move(at));
    });
    after_.take_each([&](int32_t id, int64_t count, Places at) {
      pairs_.subtract({pair.right, id}, count);
      pairs_.add({merged, id}, count - (id == pair.left ? in_a_row : 0), std::move(at));
    });
    pairs_.add({merged, merged}, in_a_row, std::move(rows));
  }

  BpeTrainerOptions options_;
  BpeVocabulary vocabulary_;
  Symbols symbols_;
  PairQueue pairs_;
  Neighbours before_, after_;
};

}  // namespace

BpeVocabulary train_bpe(const SharedPretokenCounts& counts, const BpeTrainerOptions& options) {
  check(options.vocab_size >= least_bpe_vocab,
        "vocab_size={} is too small: the 256 bytes and <|endoftext|> make {} before any merge",
        options.vocab_size, least_bpe_vocab);
  check(options.min_frequency >= 1, "min_frequency must be at least 1, got {}",
        options.min_frequency);
  return Trainer(counts, options).run();
}

}  // namespace folio
