#pragma once
#include <cstdint>
#include <string>

namespace folio {

struct PrepareOptions {
  std::string name = {};   // the dataset's; shakespeare and shakespeare_char can do without `input`
  std::string input = {};  // a UTF-8 text, a folder of texts, or "-"; empty: the published one
  std::string data_dir = "datasets";
  std::string tokenizer = {};  // char, gpt2 or the path of one's files; empty: what `name` implies
  double val_fraction = 0.1;   // of the characters of a text, of the bytes of a folder
  bool allow_special = false;  // "<|endoftext|>" in the text is the token
  int64_t threads = 0;         // 0: one a core
};

// A text or a folder of texts.
struct CorpusInput {
  std::string path;
  std::string name;    // for messages
  std::string source;  // for meta.json
};

// Makes data_dir/name: token ids in train.bin and val.bin, and meta.json. Prints what nanoGPT's
// prepare.py does. A dataset of that name is replaced only when the new one is complete. The text
// may be larger than memory.
//
// tokenizer = char: the vocabulary is the text's code points. Else the ids are that tokenizer's; of
// a text the first 90 % of the characters are the train split, each split encoded on its own; of a
// folder, files drawn at random are the val split, and the end-of-text token follows every file.
void prepare(const PrepareOptions& options);

}  // namespace folio
