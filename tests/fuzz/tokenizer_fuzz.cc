#include "data/hugging_face/tokenizer_files.h"
#include "data/tokenizer/bpe_files.h"
#include "tests/data/temporary_folder.h"
#include "tests/fuzz/input_file.h"

// The first byte says what the rest is: vocab.json and merges.txt, and, if it is 3,
// tokenizer_config.json; tokenizer.json; or what a checkpoint keeps. Whatever loads must encode the
// input and decode it again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace folio;
  static const TemporaryFolder pair, whole, three;
  static const InputFile vocab(pair / "vocab.json"), merges(pair / "merges.txt"),
      json(whole / "tokenizer.json"), third_vocab(three / "vocab.json"),
      third_merges(three / "merges.txt"), config(three / "tokenizer_config.json");
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    std::shared_ptr<const Tokenizer> tokenizer;
    if (data[0] == 3) {
      auto parts = split(input, 3);
      third_vocab.write(parts[0]), third_merges.write(parts[1]), config.write(parts[2]);
      tokenizer = load_tokenizer_files(three.path());
      if (!tokenizer) return 0;
    } else if (data[0] % 3 == 0) {
      auto parts = split(input, 2);
      vocab.write(parts[0]), merges.write(parts[1]);
      tokenizer = load_bpe(vocab.path());
    } else if (data[0] % 3 == 1) {
      json.write(input);
      tokenizer = load_tokenizer_files(whole.path());
    } else {
      tokenizer = tokenizer_from_text(input, "the input");
    }
    require(*tokenizer_from_text(to_text(*tokenizer), "itself") == *tokenizer);
    require(tokenizer->decode(tokenizer->encode(input, SpecialTokens::allowed)) == input);
  } catch (const Error&) {
  }
  return 0;
}
