#include "core/op_list.h"

#include "core/check.h"

namespace folio {

void fail_place(int place) {
  fail("function {} is not in the list that this kernel was made for", place);
}

}  // namespace folio
