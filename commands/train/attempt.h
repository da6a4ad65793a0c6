#pragma once
#include "core/process/output.h"
#include "core/process/stop.h"
#include "data/text/visible.h"

namespace folio {

// Writing that ends no run: what fails first is said on standard error at once, and nothing more is
// tried. Output without a reader is a request to stop, which the loop hears.
class Attempt {
 public:
  template <class Write>
  void operator()(Write&& write) {
    if (broken_) return;
    try {
      write();
    } catch (const Interrupted&) {
      broken_ = true;
      note("folio: standard output has no reader any more; the run stops, as for Ctrl-C\n");
    } catch (const Error& error) {
      broken_ = failed_ = true;
      note("folio: {}; the run goes on without it\n", visible(error.what()));
    }
  }
  bool failed() const { return failed_; }

 private:
  bool broken_ = false, failed_ = false;
};

}  // namespace folio
