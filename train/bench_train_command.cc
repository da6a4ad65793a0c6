#include "train/bench_train_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/machine.h"
#include "core/output.h"
#include "data/files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "train/train.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

// Random ids in a folder that goes away: a bench needs no data.
class RandomDataset {
 public:
  RandomDataset(int64_t tokens, int64_t vocab_size) {
    std::string name = (fs::temp_directory_path() / "folio-bench-XXXXXX").string();
    check(mkdtemp(name.data()) != nullptr, "{}: cannot make a folder for the bench", name);
    folder_ = name;
    fs::create_directory(folder_ / "random");
    std::u32string characters;
    for (char32_t c = U'!'; characters.size() < size_t(vocab_size); ++c) characters += c;
    RandomStream stream{.seed = 65};
    std::string ids;
    for (int64_t i = 0; i < tokens; ++i) {
      uint64_t id = uniform_below(uint64_t(vocab_size), stream, uint64_t(i));
      ids += char(id & 0xff);
      ids += char(id >> 8);
    }
    write_file(folder_ / "random/train.bin", ids);
    write_file(folder_ / "random/val.bin", ids);
    Meta meta{std::make_shared<CharTokenizer>(characters), tokens, tokens, "random numbers"};
    write_file(folder_ / "random/meta.json", to_json(meta));
  }
  ~RandomDataset() { fs::remove_all(folder_); }
  RandomDataset(const RandomDataset&) = delete;
  RandomDataset& operator=(const RandomDataset&) = delete;

  const fs::path& folder() const { return folder_; }

 private:
  fs::path folder_;
};

struct BenchOptions {
  int64_t iters = 20;
  int64_t vocab_size = 65;
  bool json = false;
};

}  // namespace

// folio bench train CONFIG [--key=value ...] [--iters=N] [--json]
int bench_train_command(int argc, char** argv) {
  BenchOptions bench;
  TrainOptions options;
  std::vector<Option> rows = option_rows(options);
  rows.push_back({"iters", &bench.iters, "iterations to time, after a warm-up", at_least(1)});
  rows.push_back({"vocab_size", &bench.vocab_size, "of the random tokens", at_least(1)});
  rows.push_back({"json", &bench.json, "print one JSON object"});
  OptionTable table(rows);
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse("folio bench train [CONFIG.toml] [--key=value ...]", args);
  check_together(options, table.given());
  backend(device_named(options.device)).set_threads(int(options.threads));
  RandomDataset dataset(std::max<int64_t>(100000, 40 * options.block_size), bench.vocab_size);
  options.data_dir = dataset.folder().string();
  options.dataset = "random";
  options.init_from = "scratch";
  Run run(options, {});

  std::vector<double> ms;
  constexpr int warm_up = 3;
  for (int64_t i = 0; i < bench.iters + warm_up; ++i, ++run.iter) {
    auto start = std::chrono::steady_clock::now();
    accumulate_gradients(run);
    update(run);
    std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    if (i >= warm_up) ms.push_back(taken.count());
  }
  size_t rss = peak_rss_bytes();
  MachinePeak peak = measure_peak();
  peak.read_bandwidth = measure_read_bandwidth();
  std::ranges::sort(ms);
  double median = ms[ms.size() / 2];
  auto tokens =
      double(options.gradient_accumulation_steps * options.batch_size * options.block_size);
  double flops = run.model->training_flops_per_token() * tokens;
  double machine = options.dtype == "bfloat16" ? peak.bf16_flops : peak.f32_flops;
  double share = flops / (median / 1e3) / machine;
  if (bench.json) {
    say("{}\n", nlohmann::ordered_json{{"median_ms", median},
                                       {"min_ms", ms.front()},
                                       {"tokens_per_second", tokens / median * 1e3},
                                       {"peak_rss_bytes", rss},
                                       {"share_of_peak", share},
                                       {"gflop_per_iteration", flops / 1e9},
                                       {"peak_gflops", machine / 1e9},
                                       {"read_bandwidth_gb", peak.read_bandwidth / 1e9},
                                       {"threads", backend(cpu).threads()},
                                       {"dtype", options.dtype}}
                    .dump());
    return 0;
  }
  say("machine    {}\n", cpu_model());
  say("peak       {:.0f} GFLOP/s {}, {:.1f} GB/s read\n", machine / 1e9, options.dtype,
      peak.read_bandwidth / 1e9);
  say("iteration  {:.2f} ms median, {:.2f} ms minimum of {}\n", median, ms.front(), bench.iters);
  say("tokens     {:.0f} a second\n", tokens / median * 1e3);
  say("share      {:.0f} % of the multiply-add peak ({:.2f} GFLOP an iteration)\n", 100 * share,
      flops / 1e9);
  say("memory     {:.0f} MB at the most\n", double(rss) / 1e6);
  return 0;
}

}  // namespace folio
