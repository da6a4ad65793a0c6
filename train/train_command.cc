#include "train/train_command.h"

#include <csignal>

#include "train/report.h"

namespace folio {
namespace {

std::atomic<bool> stop = false;

// The first Ctrl-C asks the loop to finish its step and save; a second one ends the process.
void on_interrupt(int) {
  stop = true;
  std::signal(SIGINT, SIG_DFL);
}

}  // namespace

// folio train [CONFIG] [--key=value ...]
int train_command(int argc, char** argv) {
  OptionOrigins given;
  std::vector<std::string> args(argv + 1, argv + argc);
  TrainOptions options = parse_train_options(args, &given);
  backend(device_named(options.device)).set_threads(int(options.threads));
  Run run(options, given);
  Report report;
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  Finish finish = train(run, report, stop);
  return finish == Finish::interrupted ? 130 : 0;
}

}  // namespace folio
