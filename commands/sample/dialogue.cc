#include "commands/sample/dialogue.h"

#include <signal.h>

#include <algorithm>

#include "core/process/output.h"
#include "core/process/stop.h"

namespace folio {

Dialogue::Dialogue(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer,
                   const GenerateOptions& options, std::vector<std::string> stop)
    : tokenizer_(std::move(tokenizer)),
      options_(options),
      stop_(std::move(stop)),
      block_size_(model.config().block_size),
      decoder_(model, {.window = {block_size_, options.past_block, options.keep},
                       .kv_cache = options.kv_cache,
                       .tokens = options.tokens,
                       .kv_cache_dtype = options.kv_cache_dtype}) {}

bool Dialogue::full() const {
  return options_.past_block == PastBlock::stop && length() > block_size_;
}

void Dialogue::append(std::span<const int32_t> tokens) {
  if (decoder_.size() == 0)
    decoder_.add({tokens.begin(), tokens.end()});
  else
    decoder_.append(0, tokens);
  seen_.add(tokens);
}

void Dialogue::replace(std::vector<int32_t> tokens) {
  seen_ = {};
  seen_.add(tokens);
  if (decoder_.size() == 0)
    decoder_.add(std::move(tokens));
  else
    decoder_.replace(0, std::move(tokens));
}

bool Dialogue::go_on(const Print& print) {
  TextStream stream(*tokenizer_, stop_);
  std::string text;
  Print show = [&](const std::string& piece) {
    text += piece;
    print(piece);
  };
  Interruptible scope;
  try {
    for (int64_t i = 0; i < options_.max_new_tokens && !stream.stopped() && !full(); ++i) {
      throw_if_stopped();
      decoder_.step();
      const RowDraw draw{
          .stream = {options_.seed, 0}, .number = drawn_++, .seen = seen_.distinct()};
      const int32_t token = decoder_.draw(options_.sampler, std::span(&draw, 1))[0];
      if (std::ranges::count(options_.end_tokens, token) > 0) break;
      append(std::span(&token, 1));
      show(stream.push(token));
    }
  } catch (const Interrupted& stop) {
    if (stop.signal != SIGPIPE) show(stream.finish());
    said(text);
    throw;
  }
  show(stream.finish());
  said(text);
  return !full();
}

// False: there is no room for another.
bool Dialogue::take_turn(LineEditor& lines, const std::string& text, const Print& print) {
  bool at_line_start = true, room = true;
  Print show = [&](const std::string& piece) {
    if (piece.empty()) return;
    print(piece);
    at_line_start = piece.ends_with('\n');
  };
  try {
    add(text);
  } catch (const Error& error) {
    note("folio: {}\n", error.what());
    return true;
  }
  if (lines.on_terminal()) set_stop_answer("the answer ends here");
  try {
    room = go_on(show);
  } catch (const Interrupted& stop) {
    if (!lines.on_terminal() || stop.signal != SIGINT) throw;
  }
  // Also a Ctrl-C that came as the answer ended by itself: it was not meant for the dialogue.
  if (lines.on_terminal() && stop_signal() == SIGINT) forget_stop();
  if (!at_line_start) show("\n");
  return room;
}

void Dialogue::run(LineEditor& lines, const Print& print, std::optional<std::string> first) {
  bool room = !first || take_turn(lines, *first, print);
  while (room) {
    set_stop_answer("the conversation ends");
    std::optional<std::string> line = lines.read();
    if (line) line = turn_of(std::move(*line), lines);
    if (!line) return;
    room = take_turn(lines, *line, print);
  }
  note("folio: the text fills the model's context of {} tokens; --past_block=auto goes on\n",
       block_size_);
}

}  // namespace folio
