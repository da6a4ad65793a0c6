#pragma once
#include <memory>
#include <string>
#include <vector>

#include "commands/sample/line_editor.h"
#include "data/tokenizer/tokenizer.h"
#include "sample/decoder.h"
#include "sample/generate.h"
#include "sample/text_stream.h"

namespace folio {

// One long text that a person and a model write in turns. The cache stays between turns: a turn
// costs its own tokens, whatever came before.
class Conversation {
 public:
  Conversation(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer,
               const GenerateOptions& options, std::vector<std::string> stop);

  // Text that goes before the first line.
  void begin_with(std::string text) { unread_ = std::move(text); }
  // Adds `text`. Error for text that the vocabulary cannot spell; nothing is added then.
  void add(const std::string& text);
  // Lets the model go on until an end-of-text token, a stop string or max_new_tokens; `print` gets
  // its text as it comes. False: the model's context is full, and past_block=stop. Throws
  // Interrupted once a stop is requested (core/process/stop.h); what was printed then stays, and
  // the text can go on from there.
  bool go_on(const Print& print);
  bool turn(const std::string& text, const Print& print) {
    add(text);
    return go_on(print);
  }
  // A turn for each line; one that ends with a backslash is added without a newline, and so is
  // every line if the vocabulary has none. On a terminal, Ctrl-C ends the model's turn and not the
  // conversation.
  void run(LineEditor& lines, const Print& print);

  int64_t length() const { return decoder_.size() > 0 ? decoder_.length(0) : 0; }
  size_t cache_bytes() const { return decoder_.cache_bytes(); }

 private:
  bool full() const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  GenerateOptions options_;
  StopStrings stop_;
  int64_t block_size_;
  Decoder decoder_;
  SeenTokens seen_;
  std::string unread_, newline_;
  uint64_t drawn_ = 0;
};

}  // namespace folio
