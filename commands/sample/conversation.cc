#include "commands/sample/conversation.h"

#include <signal.h>

#include "core/process/output.h"
#include "core/process/stop.h"
#include "sample/start.h"

namespace folio {

Conversation::Conversation(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer,
                           const GenerateOptions& options, std::vector<std::string> stop)
    : tokenizer_(std::move(tokenizer)),
      options_(options),
      stop_(std::move(stop)),
      block_size_(model.config().block_size),
      decoder_(model, {.window = {block_size_, options.past_block, options.keep},
                       .kv_cache = options.kv_cache,
                       .tokens = options.tokens,
                       .kv_cache_dtype = options.kv_cache_dtype}),
      newline_(can_spell(*tokenizer_, "\n") ? "\n" : "") {}

bool Conversation::full() const {
  return options_.past_block == PastBlock::stop && length() > block_size_;
}

void Conversation::add(const std::string& text) {
  std::vector<int32_t> tokens = tokenizer_->encode(unread_ + text);
  check(!tokens.empty() || length() > 0, "type something: the model continues a text");
  unread_.clear();
  if (decoder_.size() == 0)
    decoder_.add(tokens);
  else
    decoder_.append(0, tokens);
  seen_.add(tokens);
}

bool Conversation::go_on(const Print& print) {
  TextStream stream(*tokenizer_, stop_);
  Interruptible scope;
  try {
    for (int64_t i = 0; i < options_.max_new_tokens && !stream.stopped() && !full(); ++i) {
      throw_if_stopped();
      decoder_.step();
      const RowDraw draw{
          .stream = {options_.seed, 0}, .number = drawn_++, .seen = seen_.distinct()};
      const int32_t token = decoder_.draw(options_.sampler, std::span(&draw, 1))[0];
      if (token == options_.end_token) break;
      decoder_.append(0, std::span(&token, 1));
      seen_.add(std::span(&token, 1));
      print(stream.push(token));
    }
  } catch (const Interrupted& stop) {
    if (stop.signal != SIGPIPE) print(stream.finish());
    throw;
  }
  print(stream.finish());
  return !full();
}

void Conversation::run(LineEditor& lines, const Print& print) {
  bool at_line_start = true;
  Print show = [&](const std::string& text) {
    if (text.empty()) return;
    print(text);
    at_line_start = text.ends_with('\n');
  };
  while (true) {
    set_stop_answer("the conversation ends");
    std::optional<std::string> line = lines.read();
    if (!line) return;
    if (line->ends_with('\\'))
      line->pop_back();
    else
      *line += newline_;
    try {
      add(*line);
    } catch (const Error& error) {
      note("folio: {}\n", error.what());
      continue;
    }
    if (lines.on_terminal()) set_stop_answer("the answer ends here");
    bool room = true;
    try {
      room = go_on(show);
    } catch (const Interrupted& stop) {
      if (!lines.on_terminal() || stop.signal != SIGINT) throw;
    }
    // Also a Ctrl-C that came as the answer ended by itself: it was not meant for the conversation.
    if (lines.on_terminal() && stop_signal() == SIGINT) forget_stop();
    if (!at_line_start) show("\n");
    if (!room) {
      note(
          "folio: the text fills the model's context of {} tokens; --past_block=auto goes "
          "on\n",
          block_size_);
      return;
    }
  }
}

}  // namespace folio
