#include <gmock/gmock.h>

#include <string_view>

#include "tests/device.h"

namespace folio {
namespace {
Device device = cpu;
}
Device test_device() { return device; }
}  // namespace folio

// A test program: GoogleTest's options, and --device=NAME.
int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  constexpr std::string_view option = "--device=";
  for (std::string_view argument : std::span(argv + 1, size_t(argc - 1)))
    if (argument.starts_with(option))
      folio::device = folio::device_named(argument.substr(option.size()));
  return RUN_ALL_TESTS();
}
