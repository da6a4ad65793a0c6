#include "commands/bench/bench_tokenizer_command.h"

#include <algorithm>
#include <chrono>

#include "configs/option_table.h"
#include "core/backend.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "core/text/numbers.h"
#include "data/files/files.h"
#include "data/tokenizer/find_tokenizer.h"

namespace folio {
namespace {

struct BenchOptions {
  std::string input, tokenizer = "gpt2";
  int64_t iters = 20;
  bool json = false;
};

BenchOptions parse(int argc, char** argv) {
  BenchOptions o;
  OptionTable table(
      {path_option("input", &o.input, "the text"),
       path_option("tokenizer", &o.tokenizer, "gpt2, or the folder or file of a tokenizer"),
       {"iters", &o.iters, "times to encode it", at_least(1)},
       {"json", &o.json, "print one JSON object"}});
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse(
      "folio bench tokenizer --input=FILE [--tokenizer=gpt2]\n\n"
      "Times a BPE tokenizer on a text, on one thread.",
      args);
  check(!o.input.empty(), "bench tokenizer: say which text, with --input=FILE");
  return o;
}

template <class F>
double seconds(F&& f) {
  auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int bench_tokenizer_command(int argc, char** argv) {
  BenchOptions options = parse(argc, argv);
  set_stop_answer("the bench ends without a result");
  std::shared_ptr<const BpeTokenizer> tokenizer;
  double load = seconds([&] { tokenizer = find_tokenizer(options.tokenizer); });
  std::string text = read_file(options.input), decoded;
  std::vector<int32_t> ids;
  std::vector<double> times;
  for (int64_t i = 0; i < options.iters; ++i) {
    throw_if_stopped();
    times.push_back(seconds([&] { ids = tokenizer->encode(text); }));
  }
  double first = times.front(), megabytes = double(text.size()) / 1e6;
  std::ranges::sort(times);
  double median = times[times.size() / 2];
  double decode = seconds([&] { decoded = tokenizer->decode(ids); });
  // Normalization, or bytes that the vocabulary lacks, may make another text.
  bool exact = tokenizer->settings() == BpeSettings{} && tokenizer->lost_bytes(text, {}).empty();
  check(!exact || decoded == text, "{}: the ids do not decode to it", options.input);
  if (options.json) {
    say("{{\"tokens\": {}, \"bytes\": {}, \"mb_per_second\": {:.2f}, \"first_mb_per_second\": "
        "{:.2f}, \"decode_mb_per_second\": {:.2f}, \"load_ms\": {:.2f}}}\n",
        ids.size(), text.size(), megabytes / median, megabytes / first, megabytes / decode,
        load * 1e3);
    return 0;
  }
  say("machine  {}, one thread\n", backend(cpu)->machine.name());
  say("text     {:.2f} MB, {} tokens, {:.2f} bytes each\n", megabytes,
      with_commas(int64_t(ids.size())), double(text.size()) / double(ids.size()));
  say("encode   {:.1f} MB/s (median of {}), {:.1f} the first time\n", megabytes / median,
      options.iters, megabytes / first);
  say("decode   {:.1f} MB/s\n", megabytes / decode);
  say("load     {:.1f} ms\n", load * 1e3);
  return 0;
}

}  // namespace folio
