#pragma once
#include "checkpoint/open_model.h"

namespace folio {

// What --window asks for: Gpt::set_attention_window, unless it is 0, and the remark that what
// follows is approximate.
void give_window(OpenedModel& opened, int64_t window);

}  // namespace folio
