// A job to be disturbed: its ranks add up arrays until they are stopped. Standard output gets
// "rank R PID" of each, and "begun" of rank 0 when the first sum is there.
//   mpirun -n N ranks_job [--timeout=SECONDS] [--sums=N] [--fail_on=RANK|all] [--busy_on=RANK]
#include <charconv>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include "core/backend.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "core/ranks/communicator.h"
#include "core/ranks/leave.h"

namespace folio {
namespace {

struct JobOptions {
  int64_t timeout = 60, sums = int64_t{1} << 60, fail_on = -1, everybody = -2, busy_on = -1;
};

JobOptions parse(int argc, char** argv) {
  JobOptions options;
  for (int i = 1; i < argc; ++i) {
    std::string_view text = argv[i];
    size_t equals = text.find('=');
    check(equals != text.npos, "{}: expected --NAME=VALUE", text);
    std::string_view name = text.substr(0, equals), value = text.substr(equals + 1);
    int64_t number = options.everybody;
    if (value != "all") std::from_chars(value.data(), value.data() + value.size(), number);
    if (name == "--timeout")
      options.timeout = number;
    else if (name == "--sums")
      options.sums = number;
    else if (name == "--fail_on")
      options.fail_on = number;
    else if (name == "--busy_on")
      options.busy_on = number;
    else
      fail("{} is no option of this program", name);
  }
  return options;
}

void run(const JobOptions& options) {
  std::unique_ptr<Communicator> ranks =
      join_ranks(cpu, {.timeout = std::chrono::seconds(options.timeout)});
  say("rank {} {}\n", ranks->rank(), this_process().pid);
  set_last_words("last checkpoint: none");
  Array x = zeros({100'000}, DType::f32, cpu);
  for (int64_t sum = 0; sum < options.sums; ++sum) {
    ranks->all_reduce(x).wait();
    if (sum > 0) continue;
    if (ranks->rank() == 0) say("begun\n");
    check(options.fail_on != ranks->rank() && options.fail_on != options.everybody,
          "this rank was told to fail");
    while (options.busy_on == ranks->rank()) {  // computes, and takes no part
    }
  }
}

}  // namespace
}  // namespace folio

int main(int argc, char** argv) {
  folio::listen_for_signals();
  try {
    folio::run(folio::parse(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    folio::leave_together(error.what());
    return 1;
  }
}
