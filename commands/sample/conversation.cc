#include "commands/sample/conversation.h"

#include "core/check.h"
#include "sample/start.h"

namespace folio {

Conversation::Conversation(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer,
                           const GenerateOptions& options, std::vector<std::string> stop)
    : Dialogue(model, std::move(tokenizer), options, std::move(stop)),
      newline_(can_spell(this->tokenizer(), "\n") ? "\n" : "") {}

void Conversation::add(const std::string& text) {
  std::vector<int32_t> tokens = tokenizer().encode(unread_ + text);
  check(!tokens.empty() || length() > 0, "type something: the model continues a text");
  if (length() == 0) {
    const std::vector<int32_t> starts = tokenizer().start_tokens();
    tokens.insert(tokens.begin(), starts.begin(), starts.end());
  }
  unread_.clear();
  append(tokens);
}

std::optional<std::string> Conversation::turn_of(std::string line, LineEditor&) {
  if (line.ends_with('\\'))
    line.pop_back();
  else
    line += newline_;
  return line;
}

}  // namespace folio
