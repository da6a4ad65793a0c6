#pragma once
#include "commands/sample/dialogue.h"
#include "sample/chat.h"

namespace folio {

// A conversation with a model in the form of its chat template. What the template makes of earlier
// turns may change with later ones; the cache keeps what has stayed.
class ChatSession : public Dialogue {
 public:
  // `system` is the system message; empty: none. An answer also ends at chat.turn_ends().
  ChatSession(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer,
              const GenerateOptions& options, std::vector<std::string> stop, Chat chat,
              const std::string& system);

  // Error for a turn that the template refuses or that the vocabulary cannot spell. With
  // past_block=block, a conversation that has outgrown the context goes on with its system message
  // and the last turns, in as many tokens as a window keeps.
  void add(const std::string& text) override;

  const std::vector<ChatMessage>& messages() const { return messages_; }

 protected:
  // Lines that end with a backslash are one with the next; /exit ends the conversation.
  std::optional<std::string> turn_of(std::string line, LineEditor& lines) override;
  void said(const std::string& text) override { messages_.push_back({"assistant", text}); }

 private:
  std::vector<int32_t> tokens_in_view();
  std::vector<int32_t> tokens_from(size_t first) const;

  Chat chat_;
  std::vector<ChatMessage> messages_;
  size_t first_;  // of the messages after the system's, the first in view
};

// As the options of `folio sample` ask, with the template's own ends of a turn.
GenerateOptions with_turn_ends(GenerateOptions options, const Chat& chat);

}  // namespace folio
