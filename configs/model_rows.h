#pragma once
#include "configs/option_table.h"

namespace folio {

// The rows that say which model a command opens (checkpoint/open_model.h), then `more`.
std::vector<Option> model_rows(std::string* init_from, std::string* out_dir,
                               std::string* checkpoint, std::vector<Option> more = {});

}  // namespace folio
