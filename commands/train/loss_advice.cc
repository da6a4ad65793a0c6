#include "commands/train/loss_advice.h"

#include <fmt/format.h>

namespace folio {

std::string LossAdvice::after(int64_t iter, const Losses& losses) {
  if (losses.val < best_.val) {
    best_ = losses;
    best_iter_ = iter;
    rises_ = 0;
  } else {
    rises_ = losses.val > last_ ? rises_ + 1 : 0;
  }
  last_ = losses.val;
  if (rises_ != patience) return "";
  const std::string what = fmt::format(
      "the val loss has risen since iteration {}, where it was {:.4f}", best_iter_, best_.val);
  if (losses.train > best_.train)
    return what + ", and the train loss with it: a lower learning_rate helps, or more warmup_iters";
  return fmt::format(
      "{}, while the train loss falls: the model learns its text by heart; more text helps, more "
      "dropout or weight_decay, or a smaller model, and --early_stop={} ends a run there",
      what, patience);
}

}  // namespace folio
