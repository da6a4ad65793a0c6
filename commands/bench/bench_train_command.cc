#include "commands/bench/bench_train_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/machine.h"
#include "core/parallel.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "core/profile.h"
#include "core/random.h"
#include "data/files/files.h"
#include "data/files/sha256.h"
#include "data/tokenizer/char_tokenizer.h"
#include "train/train.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "folio-bench-XXXXXX").string();
    check(mkdtemp(name.data()) != nullptr, "{}: cannot make a folder for the bench", name);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// `count` of them, in order: all but those that UTF-8 has no place for.
std::u32string some_characters(int64_t count) {
  std::u32string characters;
  for (char32_t c = U'!'; std::ssize(characters) < count; ++c)
    if (c < 0xd800 || c > 0xdfff) characters += c;
  return characters;
}

// A prepared dataset of random ids.
void write_random_dataset(const fs::path& folder, int64_t tokens, int64_t vocab_size) {
  fs::create_directory(folder);
  RandomStream stream{.seed = 65};
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i)
    ids.push_back(int32_t(uniform_below(uint64_t(vocab_size), stream, uint64_t(i))));
  std::string bytes;
  append_tokens(bytes, ids, vocab_size);
  write_file(folder / "train.bin", bytes);
  write_file(folder / "val.bin", bytes);
  auto tokenizer = std::make_shared<CharTokenizer>(some_characters(vocab_size));
  write_file(folder / "meta.json", to_json(Meta{tokenizer, tokens, tokens, "random numbers"}));
}

// Of every parameter's values: two runs that differ by a bit anywhere have two of them.
std::string digest_of(Gpt& model) {
  Sha256 digest;
  model.parameters([&](const std::string&, const Parameter& parameter) {
    const std::vector<float> values = to_vector<float>(parameter.array());
    digest.update({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  });
  return hex(digest.digest());
}

struct BenchOptions {
  int64_t iters = 20;
  int64_t profiled_iters = 2;
  int64_t vocab_size = 65;
  bool json = false;
};

Rule vocabulary_size() {
  constexpr int64_t most = 1'000'000;  // some_characters has as many
  return {fmt::format("1 to {}", most), [](const OptionValue& value) {
            return std::get<int64_t>(value) >= 1 && std::get<int64_t>(value) <= most;
          }};
}

// A bench needs no data of the user's. The files are mapped: once they are open, the folder can go,
// and whatever ends the bench then leaves none behind.
Run run_on_random_tokens(TrainOptions options, int64_t vocab_size) {
  TemporaryFolder folder;
  int64_t tokens = std::max<int64_t>(100000, 40 * options.model.block_size);
  write_random_dataset(folder.path() / "random", tokens, vocab_size);
  options.data_dir = folder.path().string();
  options.dataset = "random";
  options.init_from = "scratch";
  return Run(options, {});
}

std::vector<Option> rows(TrainOptions& options, BenchOptions& bench) {
  const std::string used[] = {"batch", "model", "grad_clip", "seed", "speed and memory"};
  std::vector<Option> all = for_use(option_rows(options), used);
  for (Option row : std::initializer_list<Option>{
           {"iters", &bench.iters, "iterations to time, after a warm-up", at_least(1)},
           {"profiled_iters", &bench.profiled_iters,
            "iterations more, timed operation by operation; 0: no table of them", at_least(0)},
           {"vocab_size", &bench.vocab_size, "vocabulary size of the model", vocabulary_size()},
           {"json", &bench.json, "print one JSON object"}}) {
    row.group = "measurement";
    all.push_back(std::move(row));
  }
  return all;
}

// Where an iteration's time goes. An operation is at its limit when one of its shares is 100 %: of
// the bandwidth by the least bytes that it could move, of the multiply-add peak.
struct OperationRow {
  std::string name;
  double calls, ms, share_of_time, share_of_bandwidth, share_of_peak;
};

std::vector<OperationRow> operation_rows(const Profile& profile, int64_t iters, double bandwidth,
                                         double peak) {
  std::vector<OperationRow> rows;
  double outside = profile.seconds;
  for (const OperationTime& op : profile.operations) {
    rows.push_back({op.name, double(op.calls) / double(iters), op.seconds * 1e3 / double(iters),
                    op.seconds / profile.seconds,
                    bandwidth > 0 ? op.bytes / op.seconds / bandwidth : 0,
                    op.flops / op.seconds / peak});
    outside -= op.seconds;
  }
  rows.push_back(
      {"between operations", 0, outside * 1e3 / double(iters), outside / profile.seconds, 0, 0});
  return rows;
}

void print_operations(const std::vector<OperationRow>& rows, int64_t iters) {
  say("\noperations of {} further iteration{}, each timed; ms and calls an iteration\n", iters,
      iters == 1 ? "" : "s");
  say("  {:<42} {:>6} {:>9} {:>6} {:>10} {:>6}\n", "", "calls", "ms", "time", "bandwidth", "peak");
  auto percent = [](double share) {
    return share < 0.005 ? std::string() : fmt::format("{:.0f} %", 100 * share);
  };
  for (const OperationRow& row : rows)
    say("  {:<42} {:>6} {:>9.3f} {:>6} {:>10} {:>6}\n", row.name,
        row.calls > 0 ? fmt::format("{:.0f}", row.calls) : "", row.ms, percent(row.share_of_time),
        percent(row.share_of_bandwidth), percent(row.share_of_peak));
}

nlohmann::ordered_json to_json(const OperationRow& row) {
  return {{"name", row.name},
          {"calls", row.calls},
          {"ms", row.ms},
          {"share_of_time", row.share_of_time},
          {"share_of_bandwidth", row.share_of_bandwidth},
          {"share_of_peak", row.share_of_peak}};
}

}  // namespace

// folio bench train CONFIG [--key=value ...] [--iters=N] [--json]
int bench_train_command(int argc, char** argv) {
  BenchOptions bench;
  TrainOptions options;
  OptionTable table(rows(options, bench));
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse(
      "folio bench train [CONFIG] [--key=value ...]\n\n"
      "Times iterations of a new model on random tokens. CONFIG is one of `folio\n"
      "train`; what it sets beyond these options makes no difference.",
      args);
  check_together(options, table.given());
  set_parallel_threads(int(options.threads));
  if (options.init_from != "scratch")
    note("folio: a new model of the options' shape is timed; init_from = {} is not opened\n",
         options.init_from);
  set_stop_answer("the bench ends without a result");
  Interruptible scope;
  Run run = run_on_random_tokens(options, bench.vocab_size);

  std::vector<double> ms;
  constexpr int warm_up = 3;
  for (int64_t i = 0; i < bench.iters + warm_up; ++i) {
    auto start = std::chrono::steady_clock::now();
    train_step(run);
    std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    if (i >= warm_up) ms.push_back(taken.count());
  }
  const std::string digest = bench.json ? digest_of(*run.model) : "";
  const size_t rss = peak_rss_bytes();
  const Device device = run.model->context().device;
  const size_t device_bytes = backend(device)->memory.use().peak;
  Profile profiled;
  if (bench.profiled_iters > 0)
    profiled = profile(device, [&] {
      for (int64_t i = 0; i < bench.profiled_iters; ++i) train_step(run);
    });
  MachinePeak peak = backend(device)->machine.measure_peak();
  peak.read_bandwidth = backend(device)->machine.measure_read_bandwidth();
  std::ranges::sort(ms);
  double median = ms[ms.size() / 2];
  auto tokens =
      double(options.gradient_accumulation_steps * options.batch_size * options.model.block_size);
  double flops = run.model->training_flops_per_token() * tokens;
  const auto& [machine, unit] = peak.of(dtype_named(options.dtype));
  double share = flops / (median / 1e3) / machine;
  std::vector<OperationRow> operations;
  if (bench.profiled_iters > 0)
    operations = operation_rows(profiled, bench.profiled_iters, peak.read_bandwidth, machine);
  if (bench.json) {
    nlohmann::ordered_json table = nlohmann::json::array();
    for (const OperationRow& row : operations) table.push_back(to_json(row));
    say("{}\n", nlohmann::ordered_json{{"machine", backend(device)->machine.name()},
                                       {"device", name_of(device)},
                                       {"median_ms", median},
                                       {"min_ms", ms.front()},
                                       {"tokens_per_second", tokens / median * 1e3},
                                       {"peak_rss_bytes", rss},
                                       {"peak_device_bytes", device_bytes},
                                       {"share_of_peak", share},
                                       {"gflop_per_iteration", flops / 1e9},
                                       {"peak_gflops", machine / 1e9},
                                       {"peak_unit", unit},
                                       {"read_bandwidth_gb", peak.read_bandwidth / 1e9},
                                       {"threads", parallel_threads()},
                                       {"dtype", options.dtype},
                                       {"weights_sha256", digest},
                                       {"operations", table}}
                    .dump());
    return 0;
  }
  say("machine    {}\n", backend(device)->machine.name());
  say("peak       {:.0f} GFLOP/s {} ({}), {:.1f} GB/s read\n", machine / 1e9, options.dtype, unit,
      peak.read_bandwidth / 1e9);
  say("iteration  {:.2f} ms median, {:.2f} ms minimum of {}\n", median, ms.front(), bench.iters);
  say("tokens     {:.0f} a second\n", tokens / median * 1e3);
  say("share      {:.0f} % of that peak ({:.2f} GFLOP an iteration)\n", 100 * share, flops / 1e9);
  say("memory     {:.0f} MB at the most\n", double(rss) / 1e6);
  if (device != cpu) say("on {}  {:.0f} MB at the most\n", device, double(device_bytes) / 1e6);
  if (!operations.empty()) print_operations(operations, bench.profiled_iters);
  return 0;
}

}  // namespace folio
