#include "configs/other_commands.h"

#include <algorithm>

#include "configs/sample_options.h"
#include "configs/train_options.h"

namespace folio {

std::string command_with_option(const std::string& name) {
  auto among = [&](const std::vector<Option>& rows) {
    return std::ranges::any_of(rows, [&](const Option& row) { return row.name == name; });
  };
  TrainOptions train;
  if (among(option_rows(train))) return "folio train";
  SampleOptions sample;
  if (among(option_rows(sample))) return "folio sample";
  return "";
}

}  // namespace folio
