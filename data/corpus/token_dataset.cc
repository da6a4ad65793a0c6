#include "data/corpus/token_dataset.h"

#include <algorithm>
#include <filesystem>
#include <thread>
#include <vector>

#include "core/check.h"
#include "core/output.h"
#include "core/random.h"
#include "data/batches.h"
#include "data/corpus/dataset_writer.h"
#include "data/corpus/map_in_order.h"
#include "data/corpus/text_chunks.h"
#include "data/progress_line.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/utf8.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

// A stretch of a file that is encoded on its own.
struct Document {
  std::string path, name;  // name: for messages
  int64_t begin, end;      // bytes
  Split split;
};

struct Corpus {
  std::vector<Document> documents;
  bool of_files;  // the end-of-text token follows each
};

// A text, in two: train is int(n * (1 - val_fraction)) of its n characters, as in nanoGPT.
Corpus text_corpus(const CorpusInput& input, double val_fraction) {
  CharacterCount text(input.path);
  auto train = int64_t(double(text.characters()) * (1 - val_fraction));
  check(0 < train && train < text.characters(),
        "{}: a text of {} characters cannot be split into train and val with val_fraction {}; give "
        "a longer one",
        input.name, text.characters(), val_fraction);
  int64_t cut = text.offset(train);
  say("length of dataset in characters: {}\n", with_commas(text.characters()));
  return {{{input.path, input.name, 0, cut, Split::train},
           {input.path, input.name, cut, text.bytes(), Split::val}},
          false};
}

// Every file below the folder but hidden and empty ones, in the order of their names.
std::vector<Document> files_below(const std::string& folder) {
  std::vector<Document> files;
  for (fs::recursive_directory_iterator at(folder), end; at != end; ++at) {
    bool hidden = at->path().filename().string().starts_with('.');
    if (hidden && at->is_directory()) at.disable_recursion_pending();
    if (hidden || !at->is_regular_file() || at->file_size() == 0) continue;
    std::string path = at->path().string();
    files.push_back({path, path, 0, int64_t(at->file_size()), Split::train});
  }
  std::ranges::sort(files, {}, &Document::path);
  return files;
}

// Draws files at random until they have val_fraction of the bytes; the same files every time.
Corpus folder_corpus(const std::string& folder, double val_fraction) {
  std::vector<Document> files = files_below(folder);
  check(files.size() >= 2,
        "{}: has {} text{}; a folder needs at least 2, one for train and one for val", folder,
        files.size(), files.size() == 1 ? "" : "s");
  int64_t total = 0, val = 0;
  for (const Document& file : files) total += file.end;
  auto enough = int64_t(double(total) * val_fraction);
  std::vector<size_t> order(files.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  RandomStream stream{.seed = 2357};
  size_t drawn = 0;
  do {
    size_t other = drawn + uniform_below(order.size() - drawn, stream, drawn);
    std::swap(order[drawn], order[other]);
    Document& file = files[order[drawn++]];
    file.split = Split::val;
    val += file.end;
  } while (val < enough && drawn + 1 < files.size());
  say("{} documents for train, {} for val\n", with_commas(int64_t(files.size() - drawn)),
      with_commas(int64_t(drawn)));
  return {std::move(files), true};
}

struct Piece {
  const Document* document;
  TextChunk chunk;
  bool last;  // of its document
};

// The corpus in pieces, one after the other.
class Pieces {
 public:
  explicit Pieces(const Corpus& corpus) : corpus_(corpus) {}
  std::optional<Piece> next() {
    for (;;) {
      if (!chunks_) {
        if (at_ == corpus_.documents.size()) return {};
        const Document& document = corpus_.documents[at_];
        chunks_.emplace(document.path, document.begin, document.end);
      }
      const Document& document = corpus_.documents[at_];
      if (auto chunk = chunks_->next()) {
        bool last = chunk->offset + int64_t(chunk->text.size()) == document.end;
        return Piece{&document, std::move(*chunk), last};
      }
      chunks_.reset();
      ++at_;
    }
  }

 private:
  const Corpus& corpus_;
  size_t at_ = 0;
  std::optional<TextChunks> chunks_;
};

void check_utf8(const Piece& piece) {
  size_t valid = utf8_prefix(piece.chunk.text);
  if (valid == piece.chunk.text.size()) return;
  fail("{} is not UTF-8: byte 0x{:02x} at offset {} {}; convert it, e.g. with iconv",
       piece.document->name, static_cast<unsigned char>(piece.chunk.text[valid]),
       piece.chunk.offset + int64_t(valid), decode_utf8(piece.chunk.text, valid).fault);
}

void check_tokenizer(const Tokenizer& tokenizer, const PrepareOptions& options) {
  check(tokenizer.vocab_size() <= 65536,
        "{}: has {} tokens, but token files hold 16-bit ids, at most 65536; use a tokenizer with "
        "fewer",
        options.tokenizer, tokenizer.vocab_size());
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

}  // namespace

void write_token_dataset(const CorpusInput& input, const PrepareOptions& options,
                         std::shared_ptr<const Tokenizer> tokenizer, const std::string& directory) {
  check_tokenizer(*tokenizer, options);
  Corpus corpus = fs::is_directory(input.path) ? folder_corpus(input.path, options.val_fraction)
                                               : text_corpus(input, options.val_fraction);
  check(!corpus.of_files || tokenizer->end_of_text(),
        "the tokenizer has no <|endoftext|> to put between the files of a folder");

  DatasetWriter writer(directory);
  int64_t total = 0, done = 0;
  for (const Document& document : corpus.documents) total += document.end - document.begin;
  ProgressLine line("encoding", total);
  SpecialTokens special = options.allow_special ? SpecialTokens::allowed : SpecialTokens::as_text;
  struct Encoded {
    Split split;
    int64_t bytes;
    std::vector<int32_t> ids;
  };
  auto encode = [&](Piece&& piece) {
    check_utf8(piece);
    Encoded encoded{piece.document->split, int64_t(piece.chunk.text.size()),
                    tokenizer->encode(piece.chunk.text, special)};
    if (corpus.of_files && piece.last) encoded.ids.push_back(*tokenizer->end_of_text());
    return encoded;
  };
  auto write = [&](Encoded&& encoded) {
    writer.add(encoded.split, encoded.ids);
    line.update(done += encoded.bytes);
  };
  int threads = options.threads > 0 ? int(options.threads)
                                    : std::max(1, int(std::thread::hardware_concurrency()));
  Pieces pieces(corpus);
  map_in_order(
      threads, [&] { return pieces.next(); }, encode, write);
  say("vocab size: {}\ntrain has {} tokens\nval has {} tokens\n",
      with_commas(tokenizer->vocab_size()), with_commas(writer.tokens(Split::train)),
      with_commas(writer.tokens(Split::val)));
  writer.commit({.tokenizer = std::move(tokenizer), .source = input.source});
}

}  // namespace folio
