#include <nlohmann/json.hpp>

#include "data/hugging_face/tokenizer_files.h"
#include "data/text/utf8.h"
#include "data/tokenizer/bpe_files.h"
#include "tests/data/temporary_folder.h"
#include "tests/fuzz/input_file.h"

// The first byte says what the rest is: vocab.json and merges.txt, and, if it is 3,
// tokenizer_config.json; tokenizer.json; or what a checkpoint keeps. Whatever loads must encode the
// input, and what goes GPT-2's way decode it again; what is kept of it must give the same ids, and
// a cut that is called safe change none.
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
    auto kept = tokenizer_from_text(to_text(*tokenizer), "itself");
    require(*kept == *tokenizer);
    auto ids = tokenizer->encode(input, SpecialTokens::allowed);
    std::string decoded = tokenizer->decode(ids);
    require(kept->encode(input, SpecialTokens::allowed) == ids);
    auto* bpe = dynamic_cast<const BpeTokenizer*>(tokenizer.get());
    if (!bpe || bpe->to_json().at("type") == "bpe") require(decoded == input);
    tokenizer->lost_bytes(input, SpecialTokens::as_text);
    std::string_view text = input.substr(0, utf8_prefix(input));
    size_t cut = tokenizer->last_safe_cut(text);
    if (!bpe || !bpe->vocabulary().added.empty() || cut == 0) return 0;
    auto before = bpe->encode(text.substr(0, cut)), after = bpe->encode(text.substr(cut));
    before.insert(before.end(), after.begin(), after.end());
    require(before == bpe->encode(text));
  } catch (const Error&) {
  }
  return 0;
}
