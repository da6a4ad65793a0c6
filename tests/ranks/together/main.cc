// What several processes do together: mpirun -n N test_together.
#include "tests/ranks/together/ranks.h"

#include <gmock/gmock.h>

#include <cstdio>

namespace folio {
namespace {
std::unique_ptr<Communicator> joined;
}
Communicator& ranks() { return *joined; }
}  // namespace folio

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  folio::Communicator::Options options;
  options.timeout = std::chrono::seconds(60);
  folio::joined = folio::join_ranks(folio::cpu, options);
  int failed = RUN_ALL_TESTS();
  folio::joined.reset();
  return failed;
}
