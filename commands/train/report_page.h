#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands/train/run_history.h"
#include "core/machine.h"
#include "train/run.h"

namespace folio {

// report.html of a run: curves, samples, options and where they come from, hardware.
class ReportPage {
 public:
  // What does not change while it runs. `peak` may be zeros: not measured.
  ReportPage(Run& run, const MachinePeak& peak);

  // The whole page. `state`: "running", "finished", "stopped", "stopped early" or "failed".
  std::string html(const RunHistory& history, const std::vector<TrainingSample>& samples,
                   const std::string& state) const;

 private:
  nlohmann::ordered_json facts_;
};

// The curves as the pages' scripts read them (inspect/web/training/curves.js): an array a column,
// NaN where a row has none.
nlohmann::ordered_json curves_json(const RunHistory& history);

}  // namespace folio
