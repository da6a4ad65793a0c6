#include "commands/sample/sample_command.h"

#include <signal.h>
#include <unistd.h>

#include "checkpoint/model_tokenizer.h"
#include "commands/give_window.h"
#include "commands/sample/chat_session.h"
#include "commands/sample/conversation.h"
#include "commands/sample/sample_output.h"
#include "configs/sample_options.h"
#include "core/parallel.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "core/text/numbers.h"
#include "sample/start.h"

namespace folio {
namespace {

OpenedModel open_packed(const SampleOptions& options) {
  OpenedModel opened = open_model(options.init_from, options.out_dir, device_named(options.device),
                                  Purpose::inference, checkpoint_named(options.checkpoint));
  std::string taken =
      find_tokenizer_of(opened, {options.tokenizer, options.dataset, options.data_dir});
  note("{}\n", opened.described());
  if (!taken.empty()) note("{}: {}\n", opened.source, taken);
  give_window(opened, options.window);
  if (!options.dtype.empty()) opened.model->context().dtype = dtype_named(options.dtype);
  WeightFormat as_saved = opened.weights.value_or(WeightFormat::f32);
  WeightFormat format = options.weights.empty() ? as_saved : weight_format_named(options.weights);
  pack(opened, format);
  return opened;
}

GenerateOptions generate_options(const SampleOptions& o, const OpenedModel& opened) {
  const Tokenizer& tokenizer = *opened.tokenizer;
  GenerateOptions options{.max_new_tokens = o.max_new_tokens,
                          .sampler = {.repetition_penalty = o.repetition_penalty,
                                      .temperature = o.temperature,
                                      .top_k = o.top_k,
                                      .top_p = o.top_p,
                                      .min_p = o.min_p},
                          .seed = uint64_t(o.seed),
                          .kv_cache = o.kv_cache,
                          .past_block = past_block_named(o.past_block, opened.model->config()),
                          .keep = o.keep,
                          .batch_size = o.batch_size,
                          .kv_cache_dtype = {},
                          .end_tokens = end_tokens(opened.format.ends, tokenizer),
                          .tokens = tokenizer.vocab_size()};
  if (o.ignore_eos) options.end_tokens.clear();
  if (!o.kv_cache_dtype.empty()) options.kv_cache_dtype = dtype_named(o.kv_cache_dtype);
  return options;
}

// What came after the prompt, when it ended early, and how fast: for the one who waits.
void report(const Generated& generated, const Gpt& model) {
  for (size_t i = 0; i < generated.samples.size(); ++i) {
    if (generated.samples[i].ending != Ending::block_size) continue;
    note(
        "folio: sample {} ends at the model's context of {} tokens; --past_block=auto goes "
        "on\n",
        i + 1, model.config().block_size);
  }
  if (isatty(STDERR_FILENO) != 1) return;
  note(
      "{} tokens in {:.2f} s: {:.0f} tokens/s; prompt of {} tokens: {:.3f} s to the first "
      "token; KV cache {:.1f} MB\n",
      with_commas(generated.new_tokens), generated.seconds,
      double(generated.new_tokens) / std::max(generated.seconds, 1e-9),
      with_commas(generated.prompt_tokens), generated.prompt_seconds,
      double(generated.cache_bytes) / 1e6);
}

void print(const std::string& text) { write_output(text); }

void print_samples(const OpenedModel& opened, const Start& start, const GenerateOptions& how,
                   const SampleOptions& options) {
  Gpt& model = *opened.model;
  const Tokenizer& tokenizer = *opened.tokenizer;
  SampleOutput output(print, tokenizer, start.text, options);
  std::vector<std::vector<int32_t>> prompts(size_t(options.num_samples), start.tokens);
  set_stop_answer("the samples end here");
  try {
    report(generate(model, prompts, how,
                    {.drawn = [&](const Draw& draw) { return output.show(draw); },
                     .ended = [&](size_t sample, Ending) { output.end(sample); }}),
           model);
  } catch (const Interrupted& stop) {
    if (stop.signal != SIGPIPE) output.break_off();
    throw;
  }
}

void continue_start(const OpenedModel& opened, const SampleOptions& options) {
  const Start start = start_of(options.start, *opened.tokenizer);
  if (!start.chosen.empty())
    note("no --start is given: each sample starts from {}\n", start.chosen);
  print_samples(opened, start, generate_options(options, opened), options);
}

Chat open_chat(const OpenedModel& opened, const SampleOptions& options) {
  Chat::Settings settings{.now = std::time(nullptr)};
  if (!options.thinking.empty()) settings.thinking = options.thinking == "on";
  return Chat(opened.format.chat, opened.tokenizer, settings);
}

// Prints answers to one message.
void answer_start(const OpenedModel& opened, const SampleOptions& options) {
  const Chat chat = open_chat(opened, options);
  std::vector<ChatMessage> messages;
  if (!options.system.empty()) messages.push_back({"system", text_of(options.system)});
  messages.push_back({"user", text_of(options.start)});
  print_samples(opened, {"", chat.tokens(messages), ""},
                with_turn_ends(generate_options(options, opened), chat), options);
}

// What contradicts another option is refused.
void check_chat(const SampleOptions& options, const OptionOrigins& given) {
  for (const char* name : {"system", "thinking"})
    if (auto origin = given.find(name); origin != given.end() && !options.chat)
      fail("{}: {}: is for conversations; give --chat too", origin->second, name);
  if (!options.chat) return;
  if (options.ignore_eos)
    fail("{}: ignore_eos: --chat ends an answer where its turn ends; leave it out",
         given.at("ignore_eos"));
  check(
      options.interactive || !options.start.empty(),
      "--chat: there is nothing to answer; give a message (--start=TEXT), or --interactive to type "
      "them");
}

// One text, of one sample: what says otherwise is refused.
void check_interactive(const SampleOptions& options, const OptionOrigins& given) {
  auto refuse = [&](const char* name, const char* why) {
    if (auto origin = given.find(name); origin != given.end())
      fail("{}: {}: --interactive {}; leave it out", origin->second, name, why);
  };
  if (options.num_samples != 1) refuse("num_samples", "continues one text");
  if (options.logprobs >= 0) refuse("logprobs", "prints text");
  refuse("batch_size", "continues one text");
}

void take_turns(Dialogue& dialogue, const char* what, std::optional<std::string> first) {
  LineEditor lines;
  if (lines.on_terminal())
    note("{}; Ctrl-C ends its answer, Ctrl-D or Ctrl-C at the prompt the conversation.\n", what);
  dialogue.run(lines, print, std::move(first));
  if (lines.on_terminal())
    note("{} tokens, {} run; KV cache {:.1f} MB\n", dialogue.length(), dialogue.tokens_run(),
         double(dialogue.cache_bytes()) / 1e6);
}

void continue_lines(const OpenedModel& opened, const SampleOptions& options) {
  Conversation conversation(*opened.model, opened.tokenizer, generate_options(options, opened),
                            options.stop);
  if (!options.start.empty()) conversation.begin_with(text_of(options.start));
  take_turns(conversation, "Type what the model shall continue", {});
}

void chat_in_turns(const OpenedModel& opened, const SampleOptions& options) {
  ChatSession session(*opened.model, opened.tokenizer, generate_options(options, opened),
                      options.stop, open_chat(opened, options), text_of(options.system));
  std::optional<std::string> first;
  if (!options.start.empty()) first = text_of(options.start);
  take_turns(session,
             "Type what the model shall answer, /exit to end; \\ at a line's end joins the next",
             std::move(first));
}

}  // namespace

// folio sample --out_dir=DIR [--key=value ...]
int sample_command(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  OptionOrigins given;
  SampleOptions options = parse_sample_options(args, &given);
  check_chat(options, given);
  if (options.interactive) check_interactive(options, given);
  if (options.chat && !given.contains("num_samples")) options.num_samples = 1;
  set_parallel_threads(int(options.threads));
  Interruptible scope;
  OpenedModel opened = open_packed(options);
  if (options.chat)
    options.interactive ? chat_in_turns(opened, options) : answer_start(opened, options);
  else
    options.interactive ? continue_lines(opened, options) : continue_start(opened, options);
  return 0;
}

}  // namespace folio
