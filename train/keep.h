#pragma once
#include "train/observer.h"

namespace folio {

// What a run keeps of itself: its losses, told to the observer, and its states on the disk.

// The weights are not what they should be, or will not be: they must not replace a state that was
// saved.
class NotToSave : public Error {
 public:
  using Error::Error;
};

// Throws NotToSave, naming the iteration, `what`, the first parameter or gradient that is not
// finite either, and the state to go back to, unless `value` is finite.
void check_finite(const Run& run, const char* what, double value);
// "last.h5 has the state of iteration 400." or "Nothing was saved before."
std::string last_good_state(const Run& run);

// Throws NotToSave for losses that are not finite, after the observer has seen them.
Losses evaluate(Run& run, Observer& observer);
// Saves the state, whose losses these are, as last.h5 and, if its validation loss is the least
// since iteration 0, as ckpt.h5. At iteration 0 nothing is learned yet, and nothing saved. A file
// that cannot be written is told to the observer: the run has its state in memory.
void keep(Run& run, const Losses& losses, Observer& observer);

// Whether early_stop evaluations in a row, counted in those of now, were no better than the best.
bool out_of_patience(const Run& run);

// Saves the state as last.h5, beside the evaluations. The first throws Error if it cannot be
// written; the second tells the observer, of success too.
void save_last(Run& run);
void save_now(Run& run, Observer& observer);

}  // namespace folio
