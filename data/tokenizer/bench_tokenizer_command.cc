#include "data/tokenizer/bench_tokenizer_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>

#include "core/check.h"
#include "core/machine.h"
#include "core/output.h"
#include "core/stop.h"
#include "data/files.h"
#include "data/progress_line.h"
#include "data/tokenizer/find_tokenizer.h"

namespace folio {
namespace {

struct BenchOptions {
  std::string input, tokenizer = "gpt2";
  int iters = 20;
  bool json = false;
};

void parse(BenchOptions& options, int argc, char** argv) {
  CLI::App app(
      "Time a BPE tokenizer on a text, on one thread.\n\n"
      "  folio bench tokenizer --input=FILE [--tokenizer=gpt2]\n",
      "folio bench tokenizer");
  app.add_option("--input", options.input, "the text")->required();
  app.add_option("--tokenizer", options.tokenizer, "gpt2, or a folder or file with one")
      ->capture_default_str();
  app.add_option("--iters", options.iters, "times to encode it")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_flag("--json", options.json, "print one JSON object");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    std::exit(app.exit(e));
  } catch (const CLI::ParseError& e) {
    fail("bench tokenizer: {}; see folio bench tokenizer --help", e.what());
  }
}

template <class F>
double seconds(F&& f) {
  auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int bench_tokenizer_command(int argc, char** argv) {
  BenchOptions options;
  parse(options, argc, argv);
  set_stop_answer("the bench ends without a result");
  std::shared_ptr<const BpeTokenizer> tokenizer;
  double load = seconds([&] { tokenizer = find_tokenizer(options.tokenizer); });
  std::string text = read_file(options.input), decoded;
  std::vector<int32_t> ids;
  std::vector<double> times;
  for (int i = 0; i < options.iters; ++i) {
    throw_if_stopped();
    times.push_back(seconds([&] { ids = tokenizer->encode(text); }));
  }
  double first = times.front(), megabytes = double(text.size()) / 1e6;
  std::ranges::sort(times);
  double median = times[times.size() / 2];
  double decode = seconds([&] { decoded = tokenizer->decode(ids); });
  check(decoded == text, "{}: the ids do not decode to it", options.input);
  if (options.json) {
    say("{{\"tokens\": {}, \"bytes\": {}, \"mb_per_second\": {:.2f}, \"first_mb_per_second\": "
        "{:.2f}, \"decode_mb_per_second\": {:.2f}, \"load_ms\": {:.2f}}}\n",
        ids.size(), text.size(), megabytes / median, megabytes / first, megabytes / decode,
        load * 1e3);
    return 0;
  }
  say("machine  {}, one thread\n", cpu_model());
  say("text     {:.2f} MB, {} tokens, {:.2f} bytes each\n", megabytes,
      with_commas(int64_t(ids.size())), double(text.size()) / double(ids.size()));
  say("encode   {:.1f} MB/s (median of {}), {:.1f} the first time\n", megabytes / median,
      options.iters, megabytes / first);
  say("decode   {:.1f} MB/s\n", megabytes / decode);
  say("load     {:.1f} ms\n", load * 1e3);
  return 0;
}

}  // namespace folio
