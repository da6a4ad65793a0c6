#include "data/corpus/token_dataset.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/check.h"
#include "core/process/progress_line.h"
#include "core/text/numbers.h"
#include "data/corpus/corpus_files.h"
#include "data/corpus/corpus_pieces.h"
#include "data/corpus/dataset_writer.h"
#include "data/corpus/json_lines.h"
#include "data/corpus/map_in_order.h"
#include "data/corpus/split_corpus.h"
#include "data/corpus/text_chunks.h"
#include "data/corpus/train_tokenizer.h"
#include "data/hugging_face/tokenizer_files.h"
#include "data/tokenizer/bpe_tokenizer.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

Corpus text_corpus(const CorpusInput& input, const PrepareOptions& options) {
  const double val_fraction = options.val_fraction;
  if (is_json_lines(input.path)) {
    CorpusFile file{input.path, int64_t(fs::file_size(input.path))};
    return {split_text(file, input.name, val_fraction), true};
  }
  CharacterCount text(input.path);
  auto train = int64_t(double(text.characters()) * (1 - val_fraction));
  check(0 < train && train < text.characters(),
        "{}: a text of {} characters cannot be split into train and val with val_fraction {}; give "
        "a longer one",
        input.name, text.characters(), val_fraction);
  int64_t cut = text.offset(train);
  options.tell(
      fmt::format("length of dataset in characters: {}\n", with_commas(text.characters())));
  return {{{input.path, input.name, 0, cut, Split::train},
           {input.path, input.name, cut, text.bytes(), Split::val}},
          false};
}

Corpus folder_corpus(const CorpusInput& input, const PrepareOptions& options,
                     const std::string& directory) {
  LeftOut left_out("file", options.strict);
  std::vector<CorpusFile> files = texts_below(input.path, directory, threads_of(options), left_out);
  check(!files.empty(), "{}: has no UTF-8 text{}", input.path,
        left_out.count() ? "; " + left_out.in_words() : "");
  if (left_out.count()) options.tell(left_out.in_words() + "\n");
  return {split_files(files, options.val_fraction), true};
}

void check_tokenizer(const Tokenizer& tokenizer, const PrepareOptions& options) {
  auto* bpe = dynamic_cast<const BpeTokenizer*>(&tokenizer);
  if (!bpe) return;
  for (const auto& [text, token] : bpe->vocabulary().added)
    check((token.special && !options.allow_special) ||
              text.find_first_of(" \t\n\v\f\r") == std::string::npos,
          "{}: has the {} token \"{}\"; a text can be cut at its space, so that {} cannot be used "
          "with it",
          options.tokenizer, token.special ? "special" : "added", text,
          token.special ? "allow_special" : "the tokenizer");
}

struct Encoded {
  const Stretch* stretch;
  int64_t bytes, documents = 0;
  std::vector<int32_t> ids = {};
  std::vector<LineFault> faults = {};
  std::map<unsigned char, int64_t> lost = {};  // bytes that are in no id
};

// Makes ids of pieces. Any thread may use it.
class Encoder {
 public:
  Encoder(const Tokenizer& tokenizer, const PrepareOptions& options, bool of_documents)
      : tokenizer_(tokenizer),
        special_(options.allow_special ? SpecialTokens::allowed : SpecialTokens::as_text),
        of_documents_(of_documents),
        starts_(tokenizer.start_tokens()) {}

  Encoded operator()(Piece&& piece) const {
    Encoded encoded{piece.stretch, int64_t(piece.chunk.text.size())};
    const bool begins = piece.chunk.offset == 0 || is_json_lines(piece.stretch->path);
    encoded.faults = each_text(piece, [&](std::string_view text, bool ends) {
      std::vector<int32_t> ids = tokenizer_.encode(text, special_);
      if (begins) begin_document(ids);
      if (encoded.ids.empty())
        encoded.ids = std::move(ids);
      else
        encoded.ids.insert(encoded.ids.end(), ids.begin(), ids.end());
      if (of_documents_ && ends) end_document(encoded);
      for (auto [byte, count] : tokenizer_.lost_bytes(text, special_)) encoded.lost[byte] += count;
    });
    return encoded;
  }

 private:
  // Unless the text itself says so.
  void begin_document(std::vector<int32_t>& ids) const {
    if (ids.size() < starts_.size() || !std::equal(starts_.begin(), starts_.end(), ids.begin()))
      ids.insert(ids.begin(), starts_.begin(), starts_.end());
  }
  void end_document(Encoded& encoded) const {
    encoded.ids.push_back(*tokenizer_.end_of_text());
    ++encoded.documents;
  }

  const Tokenizer& tokenizer_;
  SpecialTokens special_;
  bool of_documents_;
  std::vector<int32_t> starts_;
};

// What vanished of a corpus because the tokenizer has no tokens for it.
class LostBytes {
 public:
  void add(const std::map<unsigned char, int64_t>& lost, const std::string& where) {
    if (!lost.empty() && first_.empty()) first_ = where;
    for (auto [byte, count] : lost) counts_[byte] += count, total_ += count;
  }
  // "3 bytes vanished, ...: 0xf1 2 times, 0x05 once; the first in NAME"; "" for none.
  std::string in_words() const {
    if (total_ == 0) return "";
    std::vector<std::pair<int64_t, unsigned char>> often;
    for (auto [byte, count] : counts_) often.emplace_back(-count, byte);
    std::ranges::sort(often);
    std::vector<std::string> shown;
    for (auto [count, byte] : std::span(often).first(std::min<size_t>(often.size(), 5)))
      shown.push_back(
          fmt::format("0x{:02x} {} time{}", byte, with_commas(-count), count == -1 ? "" : "s"));
    return fmt::format(
        "{} byte{} vanished, for which the tokenizer has no token: {}{}; the first in {}",
        with_commas(total_), total_ == 1 ? "" : "s", fmt::join(shown, ", "),
        often.size() > shown.size() ? ", and others" : "", first_);
  }

 private:
  std::map<unsigned char, int64_t> counts_;
  int64_t total_ = 0;
  std::string first_;
};

// Whole files are drawn by their bytes, but it is tokens that count.
void check_shares(int64_t train, int64_t val, double val_fraction, const std::string& name) {
  double share = double(val) / double(std::max<int64_t>(train + val, 1));
  check(train > 0 && val > 0 && (share <= 2 * val_fraction),
        "{}: cannot be split so: of {} tokens val would have {}, where val_fraction={} asks for "
        "{:.0f}; give another --val_fraction, or more or longer texts",
        name, with_commas(train + val), with_commas(val), val_fraction,
        val_fraction * double(train + val));
}

}  // namespace

void write_token_dataset(const CorpusInput& input, const PrepareOptions& options,
                         std::shared_ptr<const Tokenizer> tokenizer, const std::string& directory) {
  if (tokenizer) check_tokenizer(*tokenizer, options);
  bool folder = fs::is_directory(input.path);
  Corpus corpus = folder ? folder_corpus(input, options, directory) : text_corpus(input, options);
  std::string trained;  // tokenizer.json
  if (!tokenizer) {
    auto bpe = train_tokenizer(corpus, options);
    trained = bpe_tokenizer_json(*bpe);
    tokenizer = bpe;
  }
  check(!corpus.of_documents || tokenizer->end_of_text(),
        "the tokenizer has no <|endoftext|> to put between documents");

  DatasetWriter writer(directory, tokenizer->vocab_size());
  LeftOut left_out("line", options.strict);
  LostBytes lost;
  int64_t total = 0, done = 0, documents[2] = {};
  for (const Stretch& stretch : corpus.stretches) total += stretch.end - stretch.begin;
  ProgressLine line("encoding", total);
  Pieces pieces(corpus, [&](std::string_view text) { return tokenizer->last_safe_cut(text); });
  auto write = [&](Encoded&& encoded) {
    const Stretch& stretch = *encoded.stretch;
    writer.add(stretch.split, encoded.ids);
    documents[stretch.split == Split::val] += encoded.documents;
    for (const LineFault& fault : encoded.faults)
      left_out.add(fmt::format("{}:{}", stretch.name, fault.line), fault.what);
    lost.add(encoded.lost, stretch.name);
    line.update(done += encoded.bytes);
  };
  map_in_order(
      threads_of(options), [&] { return pieces.next(); },
      Encoder(*tokenizer, options, corpus.of_documents), write);
  if (left_out.count()) options.tell(left_out.in_words() + "\n");
  if (std::string words = lost.in_words(); !words.empty()) options.tell(words + "\n");
  int64_t train = writer.tokens(Split::train), val = writer.tokens(Split::val);
  if (corpus.of_documents) {
    check_shares(train, val, options.val_fraction, input.name);
    options.tell(fmt::format("{} documents for train, {} for val\n", with_commas(documents[0]),
                             with_commas(documents[1])));
  }
  options.tell(fmt::format("vocab size: {}\ntrain has {} tokens\nval has {} tokens\n",
                           with_commas(tokenizer->vocab_size()), with_commas(train),
                           with_commas(val)));
  if (!trained.empty()) writer.add_file("tokenizer.json", trained);
  writer.commit({.tokenizer = std::move(tokenizer), .source = input.source});
}

}  // namespace folio
