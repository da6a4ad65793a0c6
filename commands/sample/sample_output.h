#pragma once
#include <vector>

#include "configs/sample_options.h"
#include "sample/generate.h"
#include "sample/text_stream.h"

namespace folio {

// Prints samples that are drawn together one after the other: the first that has not ended as it
// comes, those behind it when it has. As text, or with options.logprobs as a table of tokens.
class SampleOutput {
 public:
  // `prompt` is printed before each sample.
  SampleOutput(Print print, const Tokenizer& tokenizer, std::string prompt,
               const SampleOptions& options);

  bool show(const Draw& draw);  // false: the sample ends, with a stop string
  void end(size_t sample);
  // Prints what there is of the samples that have begun and not ended: no more will come.
  void break_off();

 private:
  struct Page {
    TextStream text;
    std::string waiting;  // not printed yet
    bool begun = false, ended = false;
  };
  void add(size_t sample, const std::string& text);
  std::string rest(size_t sample);

  Print print_;
  const Tokenizer& tokenizer_;
  std::string prompt_, separator_;
  int64_t logprobs_;
  std::vector<Page> pages_;
  size_t open_ = 0;  // the sample that is printed as it comes
};

}  // namespace folio
