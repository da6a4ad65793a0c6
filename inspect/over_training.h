#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset/token_file.h"
#include "data/files/files.h"
#include "inspect/head_scores.h"

namespace folio {

// What a run keeps of the inside of its model at one evaluation: a few hundred bytes.
struct InsideState {
  int64_t iter = 0;
  std::vector<HeadScore> heads;
  // Mean loss on the tokens of a text by how many others stand before them, in at most 8 bands of
  // equal width, over 4 to 16 texts of block_size + 1 tokens (1,024 in all where that is possible)
  // spread evenly over the validation split.
  std::vector<double> loss_by_position;
  // Standard deviation of the residual stream at its points (LogitLens), over the same texts.
  std::vector<double> spread;
};

// Of a split that is too short for one text, or a model of block_size 1, the scores alone, or
// nothing.
InsideState inside_state(Gpt& model, const TokenFile& val, int64_t iter);

// out_dir/inside.jsonl: a line of JSON an evaluation.
class InsideLog {
 public:
  // Begins a new log, or goes on with what it says of the iterations before `first`, which is the
  // first that this process evaluates. What cannot be written throws Error.
  InsideLog(const std::filesystem::path& path, int64_t first);
  void add(const InsideState& state);

  static constexpr const char* name = "inside.jsonl";

 private:
  std::string path_;
  FileDescriptor file_;
};

// Those of a run, by iteration; none without the file. A last line that was cut off is left out;
// Error, with the line, for any other that is not as `add` writes it.
std::vector<InsideState> load_inside(const std::filesystem::path& path);

}  // namespace folio
