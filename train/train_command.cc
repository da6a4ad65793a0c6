#include "train/train_command.h"

#include "core/stop.h"
#include "train/report.h"

namespace folio {

// folio train [CONFIG] [--key=value ...]
int train_command(int argc, char** argv) {
  OptionOrigins given;
  std::vector<std::string> args(argv + 1, argv + argc);
  TrainOptions options = parse_train_options(args, &given);
  backend(device_named(options.device)).set_threads(int(options.threads));
  Run run(options, given);
  Report report;
  Finish finish = train(run, report);
  return finish == Finish::interrupted ? 128 + stop_signal() : 0;
}

}  // namespace folio
