// encode_texts TOKENIZER TEXTS OUT [EXPORT]: folio's ids of many texts, for check_tokenizers.py to
// compare. TOKENIZER is what load_tokenizer_files opens. TEXTS holds for each its number of bytes
// (32 bits) and the bytes; OUT gets for each, with special tokens allowed and then as text, the
// number of ids and the ids (32 bits), in the first with the tokenizer's start tokens. The folder
// EXPORT gets the tokenizer's files as `folio export` writes them.
#include <cstring>

#include "data/files/files.h"
#include "data/hugging_face/tokenizer_files.h"

namespace folio {
namespace {

void append(std::string& out, const std::vector<int32_t>& ids) {
  auto count = int32_t(ids.size());
  out.append(reinterpret_cast<const char*>(&count), 4);
  out.append(reinterpret_cast<const char*>(ids.data()), 4 * ids.size());
}

void encode_all(const std::string& folder, const std::string& from, const std::string& to) {
  auto tokenizer = load_tokenizer_files(folder);
  check(tokenizer != nullptr, "{}: has no tokenizer", folder);
  // The one that a checkpoint would keep.
  tokenizer = tokenizer_from_text(to_text(*tokenizer), folder);
  std::string texts = read_file(from), out;
  for (size_t at = 0; at < texts.size();) {
    uint32_t bytes;
    std::memcpy(&bytes, texts.data() + at, 4);
    std::string_view text = std::string_view(texts).substr(at + 4, bytes);
    at += 4 + bytes;
    std::vector<int32_t> ids = tokenizer->start_tokens();
    for (int32_t id : tokenizer->encode(text, SpecialTokens::allowed)) ids.push_back(id);
    append(out, ids);
    append(out, tokenizer->encode(text));
  }
  write_file(to, out);
}

}  // namespace
}  // namespace folio

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    fmt::print(stderr, "usage: encode_texts TOKENIZER TEXTS OUT [EXPORT]\n");
    return 2;
  }
  try {
    folio::encode_all(argv[1], argv[2], argv[3]);
    if (argc == 5)
      folio::save_tokenizer_files(argv[4], *folio::load_tokenizer_files(argv[1]), 1024);
  } catch (const std::exception& error) {
    fmt::print(stderr, "encode_texts: {}\n", error.what());
    return 1;
  }
}
