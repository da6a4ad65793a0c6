#pragma once
#include "commands/sample/dialogue.h"

namespace folio {

// One long text that a person and a model write in turns.
class Conversation : public Dialogue {
 public:
  Conversation(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer,
               const GenerateOptions& options, std::vector<std::string> stop);

  // Text that goes before the first line.
  void begin_with(std::string text) { unread_ = std::move(text); }
  // Error for text that the vocabulary cannot spell.
  void add(const std::string& text) override;

 protected:
  // A line that ends with a backslash is added without a newline, and so is every line if the
  // vocabulary has none.
  std::optional<std::string> turn_of(std::string line, LineEditor& lines) override;

 private:
  std::string unread_, newline_;
};

}  // namespace folio
