#include "commands/train/run_history.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/text/parse_json.h"

namespace folio {

void RunHistory::Steps::add(const Steps& other) {
  last = other.last;
  for (size_t i = 0; i < columns; ++i) {
    sums[i] += other.sums[i];
    counts[i] += other.counts[i];
  }
  rows += other.rows;
}

void RunHistory::add(const LogRow& row) {
  last_iter_ = row.iter;
  if (row.seconds) seconds_ = *row.seconds;
  if (row.is_evaluation()) {
    evaluations_.push_back(row);
    return;
  }
  Steps step{.last = row, .rows = 1};
  for (size_t i = 0; i < log_columns().size(); ++i) {
    const std::optional<double>& value = row.*log_columns()[i].member;
    if (!value || !std::isfinite(*value)) continue;
    step.sums[i] = *value;
    step.counts[i] = 1;
  }
  if (!steps_.empty() && steps_.back().rows < rows_each_) {
    steps_.back().add(step);
    return;
  }
  if (steps_.size() == most_steps) {
    for (size_t i = 0; i < most_steps / 2; ++i) {
      steps_[i] = steps_[2 * i];
      steps_[i].add(steps_[2 * i + 1]);
    }
    steps_.resize(most_steps / 2);
    rows_each_ *= 2;
  }
  steps_.push_back(step);
}

std::vector<LogRow> RunHistory::steps() const {
  std::vector<LogRow> rows;
  rows.reserve(steps_.size());
  for (const Steps& some : steps_) {
    LogRow& row = rows.emplace_back(LogRow{.iter = some.last.iter});
    for (size_t i = 0; i < log_columns().size(); ++i)
      if (some.counts[i] > 0) row.*log_columns()[i].member = some.sums[i] / double(some.counts[i]);
    row.seconds = some.last.seconds;
  }
  return rows;
}

const LogRow* RunHistory::best() const {
  const LogRow* best = nullptr;
  for (const LogRow& row : evaluations_)
    if (row.iter > 0 && std::isfinite(*row.val_loss) && (!best || *row.val_loss < *best->val_loss))
      best = &row;
  return best;
}

std::vector<TrainingSample> read_samples(const std::filesystem::path& path) {
  std::vector<TrainingSample> samples;
  std::istringstream in(read_file(path.string()));
  for (std::string line; std::getline(in, line);) {
    try {
      auto json = parse_json<nlohmann::json>(line, path.string());
      samples.push_back({json.at("iter"), json.at("text")});
    } catch (const std::exception&) {  // no whole line, or another's
    }
  }
  return samples;
}

std::string to_json_lines(const std::vector<TrainingSample>& samples) {
  std::string lines;
  for (const auto& [iter, text] : samples)
    lines += nlohmann::ordered_json{{"iter", iter}, {"text", text}}.dump(
                 -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
             "\n";
  return lines;
}

}  // namespace folio
