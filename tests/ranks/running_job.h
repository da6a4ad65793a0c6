#pragma once
#include <sys/types.h>

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace folio {

// tests/ranks/job under mpirun, while it runs and after its end.
class RunningJob {
 public:
  explicit RunningJob(int ranks, const std::vector<std::string>& options = {});
  ~RunningJob();
  RunningJob(const RunningJob&) = delete;
  RunningJob& operator=(const RunningJob&) = delete;

  void begin();             // waits until all ranks have said who they are and summed once
  pid_t process(int rank);  // of those that have said so
  int end();                // waits; the exit code, 128 + signal, or -1: it never ends

  const std::string& errors() const { return texts_[1]; }  // standard error
  std::vector<std::string> messages() const;  // folio's lines of it: MPI has things to say as well
  std::vector<pid_t> left();                  // the ranks' processes that do not go away

 private:
  void read_until(const std::function<bool()>& enough);

  const int ranks_;
  pid_t mpirun_ = -1;
  std::array<int, 2> streams_{-1, -1};  // standard output and error
  std::array<std::string, 2> texts_;
  int code_ = -1;
};

}  // namespace folio
