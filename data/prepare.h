#pragma once
#include <string>

namespace folio {

struct PrepareOptions {
  std::string name;   // the dataset's; shakespeare_char can do without `input`
  std::string input;  // a UTF-8 text; empty: the published one
  std::string data_dir = "datasets";
};

// Makes data_dir/name: a vocabulary of the text's code points, their ids in train.bin (the first 90
// %) and val.bin, and meta.json. Prints what nanoGPT's prepare.py does. A dataset of that name is
// replaced only when the new one is complete. The text may be larger than memory.
void prepare(const PrepareOptions& options);

}  // namespace folio
