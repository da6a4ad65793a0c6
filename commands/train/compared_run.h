#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "commands/train/run_history.h"

namespace folio {

// A run as its folder tells of it.
struct ComparedRun {
  std::string name;  // its folder, as it was given
  RunHistory history;
  std::map<std::string, std::string> options;       // as a TOML file would have them; may be empty
  std::optional<double> tokens_per_iteration = {};  // none: no checkpoint tells
};

// Reads log.csv of the folder and the options in its newest checkpoint, if it has one. Error for a
// folder without a log. A checkpoint that cannot be read is said on standard error.
ComparedRun read_run(const std::string& folder);

// A row of a table over the runs: what, and its text for each.
struct ComparedRow {
  std::string name;
  std::vector<std::string> values;
};
// Best and last losses, iterations, tokens, time; "-" where a run does not say.
std::vector<ComparedRow> result_rows(const std::vector<ComparedRun>& runs);
// The options that are not the same in all of them, but for those that say where a run is kept
// and how it is watched.
std::vector<ComparedRow> differing_rows(const std::vector<ComparedRun>& runs);

// One self-contained page: the curves over each other, and both tables.
std::string compare_html(const std::vector<ComparedRun>& runs);

}  // namespace folio
