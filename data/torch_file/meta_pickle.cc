#include "data/torch_file/meta_pickle.h"

#include "data/files/mapped_file.h"
#include "data/text/utf8.h"
#include "data/tokenizer/char_tokenizer.h"
#include "data/torch_file/pickle.h"

namespace folio {
namespace {

using Dict = PickleValue::Dict;

constexpr size_t max_bytes = 8 << 20;  // 65,535 characters take 1.5 MB

const PickleValue& member(const Dict& meta, const char* key, const std::string& path) {
  const PickleValue* value = find(meta, key);
  check(value != nullptr,
        "{}: has no \"{}\"; the meta.pkl of nanoGPT's character datasets has vocab_size, itos and "
        "stoi",
        path, key);
  return *value;
}

char32_t character(const PickleValue& value, const std::string& what) {
  const std::string& text = value.get<std::string>(what, "one character");
  check(!text.empty() && size_t(decode_utf8(text, 0).bytes) == text.size(),
        "{} should be one character, not {}; folio reads nanoGPT's character datasets", what,
        value.kind());
  return decode_utf8(text, 0).code_point;
}

int64_t id(const PickleValue& value, size_t vocab_size, const std::string& what) {
  int64_t id = value.get<int64_t>(what, "an id");
  check(0 <= id && size_t(id) < vocab_size, "{} {} is not within the ids of {} characters, 0 to {}",
        what, id, vocab_size, int64_t(vocab_size) - 1);
  return id;
}

// itos: every id has a character, and one alone.
std::u32string characters_by_id(const Dict& itos, const std::string& what) {
  std::u32string characters(itos.items.size(), U'\0');
  std::vector<bool> known(characters.size());
  for (const auto& [key, value] : itos.items) {
    auto at = size_t(id(*key, characters.size(), what + "'s key"));
    check(!known[at], "{} has the id {} twice", what, at);
    known[at] = true;
    characters[at] = character(*value, fmt::format("{}'s {}", what, at));
  }
  return characters;
}

}  // namespace

std::shared_ptr<const Tokenizer> load_meta_pkl(std::string_view bytes, const std::string& path) {
  check(bytes.size() <= max_bytes,
        "{}: {} bytes; the meta.pkl of a character dataset has at most {}", path, bytes.size(),
        max_bytes);
  Pickle pickle(bytes, path, {});
  const Dict& meta = pickle.root().get<Dict>(path, "a dict of vocab_size, itos and stoi");
  auto dict = [&](const char* key) -> const Dict& {
    return member(meta, key, path).get<Dict>(fmt::format("{}: \"{}\"", path, key), "a dict");
  };
  std::u32string characters = characters_by_id(dict("itos"), path + ": \"itos\"");
  auto vocab_size =
      member(meta, "vocab_size", path).get<int64_t>(path + ": \"vocab_size\"", "an int");
  check(vocab_size == int64_t(characters.size()),
        "{}: \"vocab_size\" is {}, but \"itos\" has {} characters", path, vocab_size,
        characters.size());

  const Dict& stoi = dict("stoi");
  std::string what = path + ": \"stoi\"";
  check(stoi.items.size() == characters.size(), "{} has {} characters, \"itos\" {}", what,
        stoi.items.size(), characters.size());
  for (const auto& [key, value] : stoi.items) {
    char32_t c = character(*key, what + "'s key");
    int64_t number = id(*value, characters.size(), what + "'s id");
    check(characters[size_t(number)] == c, "{} gives {} the id {}, which \"itos\" gives to {}",
          what, describe(c), number, describe(characters[size_t(number)]));
  }
  try {
    return std::make_shared<CharTokenizer>(std::move(characters));
  } catch (const Error& error) {
    fail("{}: {}", path, error.what());
  }
}

std::shared_ptr<const Tokenizer> load_meta_pkl(const std::string& path) {
  return MappedFile(path).read([&](std::string_view bytes) { return load_meta_pkl(bytes, path); });
}

}  // namespace folio
