#include "commands/train/train_command.h"

#include <optional>

#include "checkpoint/model_file.h"
#include "commands/train/inside_observer.h"
#include "commands/train/train_report.h"
#include "core/parallel.h"
#include "core/process/stop.h"
#include "core/ranks/communicator.h"
#include "train/ranks/together.h"
#include "train/train.h"

namespace folio {

// folio train [CONFIG] [--key=value ...]
int train_command(int argc, char** argv) {
  OptionOrigins given;
  std::vector<std::string> args(argv + 1, argv + argc);
  TrainOptions options = parse_train_options(args, &given);
  set_parallel_threads(int(options.threads));
  const std::unique_ptr<Communicator> ranks = join_ranks(
      device_named(options.device), {.timeout = std::chrono::seconds(options.comm_timeout)});
  std::optional<Run> started;
  {
    Interruptible scope;  // a large model takes long to load
    together(ranks.get(), [&] { started.emplace(options, given, ranks.get()); });
  }
  Run& run = *started;
  set_parallel_threads(int(run.options.threads));  // a resumed run's own
  if (!options.eval_only)
    set_stop_answer(fmt::format("stopping; the last finished iteration is saved to {}",
                                last_checkpoint(options.out_dir).string()));
  if (ranks->rank() > 0) {  // what is to be said rank 0 says
    Observer silent;
    return train(run, silent) == Finish::interrupted ? 128 + stop_signal() : 0;
  }
  Report report;
  InsideObserver observer(report);
  Finish finish = train(run, observer);
  if (finish == Finish::interrupted) return 128 + stop_signal();
  return report.complete() ? 0 : 1;
}

}  // namespace folio
