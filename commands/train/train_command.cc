#include "commands/train/train_command.h"

#include <optional>

#include "checkpoint/model_file.h"
#include "commands/train/inside_observer.h"
#include "commands/train/train_report.h"
#include "core/parallel.h"
#include "core/process/stop.h"
#include "core/ranks/network_report.h"
#include "core/text/numbers.h"
#include "data/text/visible.h"
#include "train/ranks/start.h"
#include "train/ranks/together.h"
#include "train/train.h"

namespace folio {

namespace {

// What ranks settle before they begin: the threads of each, and what is to be said of it.
std::vector<std::string> settle(Communicator& ranks, const TrainOptions& options) {
  set_parallel_threads(int(options.threads));
  if (ranks.size() == 1) return {};
  check_same_options(ranks, options);
  if (!options.eval_only && !options.check_network) check_shared_folder(ranks, options.out_dir);
  const std::vector<RankFacts> facts = gather_facts(ranks);
  if (options.threads == 0) set_parallel_threads(threads_of_a_rank(ranks.rank(), facts));
  return describe_ranks(facts, options, parallel_threads());
}

std::string in_words(const NetworkReport::Pair& pair) {
  return fmt::format("ranks {} and {}: {:.2f} GB/s one way, {:.0f} us", pair.a, pair.b,
                     pair.bandwidth / 1e9, pair.latency * 1e6);
}

// What --check_network says; every rank calls it.
void check_network(Run& run, Communicator& ranks) {
  const NetworkReport report = measure_network(ranks);
  const double exchange = run.ranks->time_exchange();
  if (ranks.rank() > 0) return;
  for (const std::string& note : run.notes) say("{}\n", visible(note));
  say("all-reduce of {}: {:.2f} ms, {:.2f} GB/s ({:.2f} GB/s each way on a rank's link); of a few "
      "bytes: {:.0f} us\n",
      in_megabytes(double(report.bytes)), report.seconds * 1e3, report.algorithm_bandwidth / 1e9,
      report.bus_bandwidth / 1e9, report.latency * 1e6);
  if (report.slowest() && ranks.size() > 2)
    say("slowest pair: {}; fastest: {}\n", in_words(*report.slowest()),
        in_words(*report.fastest()));
  say("gradients and parameters of this model ({}, zero_stage={}): {:.2f} ms an iteration, where "
      "nothing hides it\n",
      in_megabytes(4 * double(run.model->num_params(false))), run.options.zero_stage,
      exchange * 1e3);
}

// Of a rank that has nothing to say: the first one says it.
void train_along(Run& run) {
  Observer silent;
  train(run, silent);
}

}  // namespace

// folio train [CONFIG] [--key=value ...]
int train_command(int argc, char** argv) {
  OptionOrigins given;
  std::vector<std::string> args(argv + 1, argv + argc);
  TrainOptions options = parse_train_options(args, &given);
  const std::unique_ptr<Communicator> ranks = join_ranks(
      device_named(options.device), {.timeout = std::chrono::seconds(options.comm_timeout)});
  const std::vector<std::string> notes = settle(*ranks, options);
  std::optional<Run> started;
  {
    std::optional<Interruptible> scope;  // a large model takes long to load
    if (ranks->size() == 1) scope.emplace();
    together(ranks.get(), [&] { started.emplace(options, given, ranks.get()); });
  }
  Run& run = *started;
  // A resumed run's own.
  if (run.options.threads > 0) set_parallel_threads(int(run.options.threads));
  run.notes.insert(run.notes.begin(), notes.begin(), notes.end());
  int status = 0;
  if (options.check_network) {
    check(run.ranks != nullptr,
          "--check_network measures what several processes exchange, and this is one: start it by "
          "mpirun -n 2 folio train ...");
    check_network(run, *ranks);
  } else if (ranks->rank() > 0) {
    train_along(run);
  } else {
    if (!options.eval_only)
      set_stop_answer(fmt::format("stopping; the last finished iteration is saved to {}",
                                  last_checkpoint(options.out_dir).string()));
    Report report;
    InsideObserver observer(report);
    const Finish finish = train(run, observer);
    status = finish == Finish::interrupted ? 128 + stop_signal() : report.complete() ? 0 : 1;
  }
  // mpirun ends all once one has ended with an error: not before rank 0 has said its last.
  ranks->gather("");
  return status;
}

}  // namespace folio
