#include <gmock/gmock.h>

#include <cstdio>
#include <span>
#include <string_view>

#include "tests/device.h"
#include "tests/emulated_backend.h"
#include "tests/guarded_backend.h"

namespace folio {
namespace {
Device device = cpu;
}
Device test_device() { return device; }
bool test_device_is_cpu() { return device == cpu || device == guarded_device(); }

namespace {

Device named(std::string_view name) {
  if (name == "guarded") return guarded_device();
#if defined(FOLIO_HAS_EMULATOR)  // not beside CUDA itself
  if (name == "emulated") return emulated_device();
  if (name.starts_with("emulated-")) {
    use_schedule(name.substr(name.find('-') + 1));
    return emulated_device();
  }
#endif
  return device_named(name);
}

}  // namespace
}  // namespace folio

// A test program: GoogleTest's options, and --device=NAME, of which "guarded" is
// guarded_backend.h's, and "emulated" emulated_backend.h's: "emulated-random" is that with the
// kernels' threads in random order. Anything else ends it with 2.
int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  constexpr std::string_view option = "--device=";
  try {
    for (std::string_view argument : std::span(argv + 1, size_t(argc - 1))) {
      if (argument == "--help") continue;  // GoogleTest has printed it
      folio::check(argument.starts_with(option),
                   "{} is no option of this program; it takes --device=NAME and those that --help "
                   "lists",
                   argument);
      folio::device = folio::named(argument.substr(option.size()));
    }
  } catch (const folio::Error& error) {
    fmt::print(stderr, "{}: {}\n", argv[0], error.what());
    return 2;
  }
  return RUN_ALL_TESTS();
}
