#include "commands/give_window.h"

#include "core/process/output.h"

namespace folio {

void give_window(OpenedModel& opened, int64_t window) {
  if (window == 0) return;
  opened.model->set_attention_window(window);
  note("{}: a window of {} positions; trained without a window: approximate\n", opened.source,
       window);
}

}  // namespace folio
