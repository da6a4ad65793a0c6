#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "train/log_file.h"

namespace folio {

// The curves of a run in little memory, however long it is: every evaluation, and its logged steps
// or, once there are more than can be told apart on a screen, the means of as many in a row each.
class RunHistory {
 public:
  void add(const LogRow& row);

  const std::vector<LogRow>& evaluations() const { return evaluations_; }
  // 2,000 at most; each has the iteration and the time of the last step in it.
  std::vector<LogRow> steps() const;
  // The evaluation of the least val loss, that of iteration 0 aside; null if there is none.
  const LogRow* best() const;
  double seconds() const { return seconds_; }  // that the run has taken, as far as its log says
  int64_t last_iter() const { return last_iter_; }

 private:
  static constexpr size_t most_steps = 2000;
  static constexpr size_t columns = 10;
  struct Steps {  // some in a row
    LogRow last;
    std::array<double, columns> sums = {};
    std::array<int64_t, columns> counts = {};
    int64_t rows = 0;
    void add(const Steps& other);
  };
  std::vector<LogRow> evaluations_;
  std::vector<Steps> steps_;
  int64_t rows_each_ = 1;  // in each of steps_ but the last
  double seconds_ = 0;
  int64_t last_iter_ = 0;
};

// What the model wrote at an evaluation: UTF-8, but what a vocabulary may hold.
struct TrainingSample {
  int64_t iter = 0;
  std::string text;
};

// samples.jsonl: a line each, {"iter": 250, "text": "..."}. What is no such line is passed over.
std::vector<TrainingSample> read_samples(const std::filesystem::path& path);
std::string to_json_lines(const std::vector<TrainingSample>& samples);

}  // namespace folio
