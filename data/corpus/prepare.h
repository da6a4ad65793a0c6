#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace folio {

// Told what nanoGPT's prepare.py prints: whole lines, as they come to be known.
using Tell = std::function<void(const std::string& lines)>;

struct PrepareOptions {
  std::string name = {};  // the dataset's; shakespeare and shakespeare_char can do without `input`
  // A UTF-8 text, a folder of texts, a pipe or "-"; empty: the published one, or the token files
  // that are there.
  std::string input = {};
  std::string data_dir = "datasets";
  // char, bpe, gpt2 or the path of one's files; empty: what `name` implies
  std::string tokenizer = {};
  int64_t vocab_size = 0;      // of bpe
  int64_t min_frequency = 2;   // of bpe: a pair that occurs less often is not merged
  double val_fraction = 0.1;   // of the characters of a text, of the bytes of a folder
  bool allow_special = false;  // "<|endoftext|>" in the text is the token
  bool strict = false;         // what is no text is an error, not left out
  int64_t threads = 0;         // 0: one a core
  Tell tell = [](const std::string&) {};
};

// A text or a folder of texts.
struct CorpusInput {
  std::string path;
  std::string name;    // for messages
  std::string source;  // for meta.json
};

// Makes data_dir/name: token ids in train.bin and val.bin, and meta.json. A dataset of that
// name is replaced only when the new one is complete. The text may be larger than memory.
//
// tokenizer = char: the vocabulary is the text's code points. bpe: a byte-level BPE of vocab_size
// tokens is trained on the train split and saved as tokenizer.json. Else the ids are the
// given tokenizer's, whose start tokens come before each document, unless it begins with them; a
// text is one document. Bytes that its vocabulary lacks are counted. Of a text the first 90 % of
// the characters are the train split, each split encoded on its own; of a folder, files drawn at
// random are the val split (split_files), and the end-of-text token follows every file. Text is
// taken as it is: line ends and byte order marks are characters like others.
//
// A .jsonl file has a document a line, in "text"; its last lines are the val split. Lines that have
// none, and what is no text in a folder, are left out, counted and named; an Error with `strict`.
//
// A folder data_dir/name with train.bin and val.bin alone, as nanoGPT's openwebtext is, gets
// meta.json for the tokenizer, if there is no input.
//
// A request to stop (core/process/stop.h) ends it with Interrupted, and leaves everything as it was
// but for what a download has got.
void prepare(const PrepareOptions& options);

}  // namespace folio
