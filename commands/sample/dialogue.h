#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands/sample/line_editor.h"
#include "data/tokenizer/tokenizer.h"
#include "sample/decoder.h"
#include "sample/generate.h"
#include "sample/text_stream.h"

namespace folio {

// A person and a model take turns. The cache stays between turns: a turn costs its own tokens,
// whatever came before. Derived classes decide what a turn is.
class Dialogue {
 public:
  Dialogue(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer, const GenerateOptions& options,
           std::vector<std::string> stop);
  virtual ~Dialogue() = default;
  Dialogue(const Dialogue&) = delete;
  Dialogue& operator=(const Dialogue&) = delete;

  // Adds what the person says. Error for what cannot be said; nothing is added then.
  virtual void add(const std::string& text) = 0;
  // Lets the model go on until an end token, a stop string or max_new_tokens; `print` gets its text
  // as it comes. False: the model's context is full, and past_block=stop. Throws Interrupted once a
  // stop is requested (core/process/stop.h); what was printed then stays, and the dialogue can go
  // on from there.
  bool go_on(const Print& print);
  bool turn(const std::string& text, const Print& print) {
    add(text);
    return go_on(print);
  }
  // A turn for `first`, if it is given, and for each line until the last. On a terminal, Ctrl-C
  // ends the model's turn and not the dialogue.
  void run(LineEditor& lines, const Print& print, std::optional<std::string> first = {});

  int64_t length() const { return decoder_.size() > 0 ? decoder_.length(0) : 0; }
  size_t cache_bytes() const { return decoder_.cache_bytes(); }
  int64_t tokens_run() const { return decoder_.tokens_run(); }

 protected:
  // The turn that begins with a line, for which more may be read; none: the dialogue ends.
  virtual std::optional<std::string> turn_of(std::string line, LineEditor& lines) = 0;
  // What the model has said, whole or until it was stopped.
  virtual void said(const std::string& /*text*/) {}

  // Puts tokens behind those that there are, or in their place.
  void append(std::span<const int32_t> tokens);
  void replace(std::vector<int32_t> tokens);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const GenerateOptions& options() const { return options_; }
  int64_t block_size() const { return block_size_; }

 private:
  bool full() const;
  bool take_turn(LineEditor& lines, const std::string& text, const Print& print);

  std::shared_ptr<const Tokenizer> tokenizer_;
  GenerateOptions options_;
  StopStrings stop_;
  int64_t block_size_;
  Decoder decoder_;
  SeenTokens seen_;
  uint64_t drawn_ = 0;
};

}  // namespace folio
