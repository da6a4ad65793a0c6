#include "commands/sample/chat_session.h"

#include "core/check.h"
#include "core/process/output.h"

namespace folio {

GenerateOptions with_turn_ends(GenerateOptions options, const Chat& chat) {
  options.end_tokens.insert(options.end_tokens.end(), chat.turn_ends().begin(),
                            chat.turn_ends().end());
  return options;
}

ChatSession::ChatSession(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer,
                         const GenerateOptions& options, std::vector<std::string> stop, Chat chat,
                         const std::string& system)
    : Dialogue(model, std::move(tokenizer), with_turn_ends(options, chat), std::move(stop)),
      chat_(std::move(chat)) {
  if (!system.empty()) messages_.push_back({"system", system});
  first_ = messages_.size();
}

void ChatSession::add(const std::string& text) {
  check(!text.empty(), "type something: the model answers");
  messages_.push_back({"user", text});
  const size_t first = first_;
  try {
    std::vector<int32_t> tokens = tokens_in_view();
    check(options().past_block != PastBlock::stop || std::ssize(tokens) <= block_size(),
          "the conversation's {} tokens exceed the model's context of {}, and past_block=stop; say "
          "less, or let past_block be auto",
          tokens.size(), block_size());
    replace(std::move(tokens));
  } catch (const Error&) {
    messages_.pop_back();
    first_ = first;
    throw;
  }
}

std::vector<int32_t> ChatSession::tokens_from(size_t first) const {
  std::vector<ChatMessage> view;
  if (messages_[0].role == "system") view.push_back(messages_[0]);
  view.insert(view.end(), messages_.begin() + std::ptrdiff_t(first), messages_.end());
  return chat_.tokens(view);
}

std::vector<int32_t> ChatSession::tokens_in_view() {
  const ContextWindow window(block_size(), options().past_block, options().keep);
  std::vector<int32_t> tokens = tokens_from(first_);
  // Room for an answer of some length, lest it push the conversation's beginning out of view.
  const int64_t room = std::min(options().max_new_tokens, block_size() / 4);
  if (options().past_block != PastBlock::block || std::ssize(tokens) + room <= block_size())
    return tokens;
  const size_t before = first_;
  while (std::ssize(tokens) > window.keep && first_ + 2 < messages_.size()) {
    first_ += 2;  // a turn and its answer
    tokens = tokens_from(first_);
  }
  if (first_ > before)
    note(
        "folio: the conversation outgrows the model's context of {} tokens: it goes on with {}its "
        "last {} messages\n",
        block_size(), messages_[0].role == "system" ? "the system message and " : "",
        messages_.size() - first_);
  if (std::ssize(tokens) > block_size())
    note("folio: {} tokens exceed the model's context of {}: it sees the last of them\n",
         tokens.size(), block_size());
  return tokens;
}

std::optional<std::string> ChatSession::turn_of(std::string line, LineEditor& lines) {
  if (line == "/exit") return {};
  while (line.ends_with('\\')) {
    const std::optional<std::string> more = lines.read();
    line.back() = '\n';
    if (!more) break;
    line += *more;
  }
  return line;
}

}  // namespace folio
