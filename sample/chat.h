#pragma once
#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/hugging_face/text_format.h"
#include "data/jinja/jinja_template.h"
#include "data/tokenizer/tokenizer.h"

namespace folio {

struct ChatMessage {
  std::string role;  // system, user or assistant
  std::string content;
};

// Conversations as a model's chat template writes them, in the ids that transformers'
// apply_chat_template gives. Special tokens are those that the template writes itself: one that is
// spelled out in a message is text.
class Chat {
 public:
  struct Settings {
    std::optional<bool> thinking = {};  // enable_thinking, unless the template decides
    std::time_t now = 0;                // for templates that write a date
  };
  // Throws Error, with the file and the line, for a model without a template and for a template
  // that folio cannot follow.
  Chat(ChatFormat format, std::shared_ptr<const Tokenizer> tokenizer, const Settings& settings);

  // The conversation and what begins an answer. Throws Error for one that the template refuses.
  std::vector<int32_t> tokens(std::span<const ChatMessage> messages) const;
  // The special tokens with which the template ends an answer: one or none.
  const std::vector<int32_t>& turn_ends() const { return turn_ends_; }

 private:
  MarkedText rendered(std::span<const ChatMessage> messages, bool begins_answer) const;

  ChatFormat format_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  Settings settings_;
  JinjaTemplate template_;
  std::vector<int32_t> turn_ends_;
};

// The ids of a text in which special tokens count where the template wrote them.
std::vector<int32_t> encode_marked(const Tokenizer& tokenizer, const MarkedText& text);

}  // namespace folio
