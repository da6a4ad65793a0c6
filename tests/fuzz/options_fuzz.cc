#include "configs/sample_options.h"
#include "configs/train_options.h"
#include "tests/data/temporary_folder.h"
#include "tests/fuzz/input_file.h"

// The first byte says whose options the rest, a file in TOML or in Python, sets.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace folio;
  static const TemporaryFolder folder;
  static const InputFile toml(folder / "config.toml"), python(folder / "config.py");
  if (size == 0) return 0;
  const InputFile& file = data[0] & 2 ? python : toml;
  file.write({reinterpret_cast<const char*>(data) + 1, size - 1});
  const std::string args[] = {file.path()};
  try {
    if (data[0] % 2 == 0) {
      OptionValues values = option_values(parse_train_options(args));
      // A checkpoint keeps what was accepted, and must be able to be resumed.
      require(option_values(train_options_from(values, "a checkpoint")) == values);
    } else {
      parse_sample_options(args);
    }
  } catch (const Error&) {
  }
  return 0;
}
