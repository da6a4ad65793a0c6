#pragma once
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"

namespace folio {

// An op that has just gone onto the tape.
struct RecordedOp {
  std::string_view function;    // that recorded it: short_name (core/profile.h) makes a name of it
  int64_t order = 0;            // its place on the tape: later ops have higher ones
  std::vector<int64_t> inputs;  // the places of what it read: 0 for a leaf, -1 for a constant
  std::vector<Shape> results;
  DType dtype = DType::f32;  // of the first result
};

// While it lives it is told of every op that this thread records. One at a time.
class TapeObserver {
 public:
  TapeObserver() { active_ = this; }
  virtual ~TapeObserver() { active_ = nullptr; }
  TapeObserver(const TapeObserver&) = delete;
  TapeObserver& operator=(const TapeObserver&) = delete;

  virtual void recorded(const RecordedOp& op) = 0;
  static TapeObserver* active() { return active_; }

 private:
  constinit inline static thread_local TapeObserver* active_ = nullptr;
};

}  // namespace folio
