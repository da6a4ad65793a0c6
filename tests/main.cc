#include <gmock/gmock.h>

#include <string_view>

#include "tests/device.h"
#include "tests/guarded_backend.h"

namespace folio {
namespace {
Device device = cpu;
}
Device test_device() { return device; }
}  // namespace folio

// A test program: GoogleTest's options, and --device=NAME, of which "guarded" is
// guarded_backend.h's.
int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  constexpr std::string_view option = "--device=";
  for (std::string_view argument : std::span(argv + 1, size_t(argc - 1)))
    if (argument.starts_with(option)) {
      std::string_view name = argument.substr(option.size());
      folio::device = name == "guarded" ? folio::guarded_device() : folio::device_named(name);
    }
  return RUN_ALL_TESTS();
}
