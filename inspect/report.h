#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "inspect/comparison.h"
#include "inspect/inspection.h"
#include "inspect/over_training.h"
#include "inspect/page/page.h"

namespace folio {

// The numbers of an inspection, as docs/inspect-json.md describes them.
nlohmann::ordered_json to_json(const Inspection& inspection);
nlohmann::ordered_json to_json(const Comparison& comparison, const GptConfig& config);
nlohmann::ordered_json to_json(const std::vector<InsideState>& over_training);

struct ReportOptions {
  // The page carries the model's weights and computes with them: whoever reads it can type another
  // text, switch parts off and sample. Needs a character tokenizer. Else it shows the text alone.
  bool live = false;
  std::string past_block = "block";  // what sampling in the page does past block_size: or "window"
};

// What is shown besides, if there is any: a second model, and the run's evaluations.
struct Besides {
  std::optional<Comparison> comparison = {};
  std::vector<InsideState> over_training = {};
};

// One page with all of it.
Page report_page(const Inspection& inspection, Gpt& model, const ReportOptions& options,
                 const Besides& besides = {});
// to_json of the inspection with what is besides.
nlohmann::ordered_json to_json(const Inspection& inspection, const Besides& besides);

// Whether a page of this model can be live, and the number of its parameters up to which it is
// without being asked.
bool can_be_live(const Tokenizer& tokenizer);
inline constexpr int64_t most_live_parameters = 4'000'000;

}  // namespace folio
