#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "core/check.h"
#include "data/files.h"
#include "data/tokenizer/bpe_files.h"
#include "tests/data/temporary_folder.h"

// The first byte says what the rest is: vocab.json, a 0xff byte, then merges.txt; tokenizer.json;
// or what a checkpoint keeps. Whatever loads must encode the input and decode it again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace folio;
  static const TemporaryFolder folder;
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    std::shared_ptr<const Tokenizer> tokenizer;
    if (data[0] % 3 == 0) {
      size_t cut = input.find('\xff');
      write_file(folder / "vocab.json", input.substr(0, cut));
      write_file(folder / "merges.txt", cut == input.npos ? "" : input.substr(cut + 1));
      tokenizer = load_bpe(folder / "vocab.json");
    } else if (data[0] % 3 == 1) {
      write_file(folder / "tokenizer.json", input);
      tokenizer = load_bpe(folder / "tokenizer.json");
    } else {
      tokenizer = tokenizer_from_text(input, "the input");
    }
    std::vector<int32_t> ids = tokenizer->encode(input, SpecialTokens::allowed);
    if (tokenizer->decode(ids) != input) std::abort();
    if (!(*tokenizer_from_text(to_text(*tokenizer), "itself") == *tokenizer)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
