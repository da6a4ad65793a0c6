#include "commands/train/train_command.h"

#include <optional>

#include "checkpoint/model_file.h"
#include "commands/train/inside_observer.h"
#include "commands/train/train_report.h"
#include "core/parallel.h"
#include "core/process/stop.h"
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
  if (!options.eval_only) check_shared_folder(ranks, options.out_dir);
  const std::vector<RankFacts> facts = gather_facts(ranks);
  if (options.threads == 0) set_parallel_threads(threads_of_a_rank(ranks.rank(), facts));
  return describe_ranks(facts, options, parallel_threads());
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
  if (ranks->rank() > 0) {
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
