#include "sample/conversation.h"

#include <unistd.h>

#include <optional>

namespace folio {
namespace {

// A line without its newline; nothing at the end of the file.
std::optional<std::string> read_line(std::FILE* in) {
  std::string line;
  for (int c; (c = std::fgetc(in)) != EOF;) {
    if (c == '\n') return line;
    line += char(c);
  }
  if (line.empty()) return {};
  return line;
}

}  // namespace

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
      sampler_(options.sampler) {}

bool Conversation::full() const {
  return options_.past_block == PastBlock::stop && length() > block_size_;
}

bool Conversation::turn(const std::string& text,
                        const std::function<void(const std::string&)>& print) {
  std::vector<int32_t> tokens = tokenizer_->encode(unread_ + text);
  check(!tokens.empty() || length() > 0, "type something: the model continues a text");
  unread_.clear();
  if (decoder_.size() == 0)
    decoder_.add(tokens);
  else
    decoder_.append(0, tokens);
  seen_.add(tokens);

  TextStream stream(*tokenizer_, stop_);
  for (int64_t i = 0; i < options_.max_new_tokens && !stream.stopped() && !full(); ++i) {
    decoder_.step();
    int32_t token =
        sampler_(decoder_.logits(0), seen_.distinct(), RandomStream{options_.seed, 0}, drawn_++);
    if (token == options_.end_token) break;
    decoder_.append(0, std::span(&token, 1));
    seen_.add(std::span(&token, 1));
    print(stream.push(token));
  }
  print(stream.finish());
  return !full();
}

int Conversation::run(std::FILE* in, std::FILE* out) {
  bool terminal = isatty(fileno(in)) == 1;
  bool at_line_start = true;
  auto print = [&](const std::string& text) {
    if (text.empty()) return;
    std::fwrite(text.data(), 1, text.size(), out);
    std::fflush(out);
    at_line_start = text.ends_with('\n');
  };
  if (terminal) fmt::print(stderr, "Type what the model shall continue; Ctrl-D ends.\n");
  while (true) {
    if (terminal) fmt::print(stderr, "> ");
    std::optional<std::string> line = read_line(in);
    if (!line) break;
    if (line->ends_with('\\'))
      line->pop_back();
    else
      *line += '\n';
    try {
      if (!turn(*line, print)) {
        fmt::print(stderr,
                   "folio: the text fills the model's context of {} tokens; --past_block=block "
                   "goes on\n",
                   block_size_);
        return 0;
      }
    } catch (const Error& error) {
      fmt::print(stderr, "folio: {}\n", error.what());
    }
    if (!at_line_start) print("\n");
  }
  if (terminal) {
    fmt::print(stderr, "\n{} tokens; KV cache {:.1f} MB\n", length(),
               double(decoder_.cache_bytes()) / 1e6);
  }
  return 0;
}

}  // namespace folio
