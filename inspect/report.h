#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "inspect/comparison.h"
#include "inspect/inspection.h"
#include "inspect/page/page.h"

namespace folio {

// The numbers of an inspection, as docs/inspect-json.md describes them.
nlohmann::ordered_json to_json(const Inspection& inspection);
nlohmann::ordered_json to_json(const Comparison& comparison, const GptConfig& config);

struct ReportOptions {
  // The page carries the model's weights and computes with them: whoever reads it can type another
  // text, switch parts off and sample. Needs a character tokenizer. Else it shows the text alone.
  bool live = false;
  std::string past_block = "block";  // what sampling in the page does past block_size: or "window"
};

// One page with all of it, and of a second model beside it if there is one.
Page report_page(const Inspection& inspection, Gpt& model, const ReportOptions& options,
                 const Comparison* comparison = nullptr);

// Whether a page of this model can be live, and the number of its parameters up to which it is
// without being asked.
bool can_be_live(const Tokenizer& tokenizer);
inline constexpr int64_t most_live_parameters = 4'000'000;

}  // namespace folio
