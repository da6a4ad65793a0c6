#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/files/files.h"
#include "data/files/sha256.h"
#include "data/text/utf8.h"
#include "data/tokenizer/bpe_files.h"
#include "tests/data/tokenizer/gpt2_files.h"
#include "tests/paths.h"
#include "tests/reference/values.h"

namespace folio {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

const Json& reference() {
  static const Json json =
      Json::parse(std::ifstream(source_path("tests/reference/tokenizer.json")));
  return json;
}

class Words {
 public:
  explicit Words(uint64_t seed) : seed_(seed) {}
  size_t below(size_t bound) { return reference::word(seed_, i_++) % bound; }

 private:
  uint64_t seed_, i_ = 0;
};

// What make_tokenizer.py makes.
std::string random_string(const std::string& kind, Words& words) {
  static const auto pieces = reference().at("pieces").get<std::vector<std::string>>();
  static const auto blocks = reference().at("blocks").get<std::vector<std::array<size_t, 2>>>();
  std::string text;
  if (kind == "broken") {
    text = random_string("pieces", words);
    size_t at = words.below(text.size() + 1);
    return text.erase(std::min(at, text.size()), 1);
  }
  if (kind == "bytes") {
    for (size_t n = words.below(24); n > 0; --n) text += char(words.below(256));
  } else if (kind == "pieces") {
    for (size_t n = words.below(12); n > 0; --n) text += pieces[words.below(pieces.size())];
  } else {
    for (size_t n = words.below(16); n > 0; --n) {
      auto [low, high] = blocks[words.below(blocks.size())];
      append_utf8(text, char32_t(low + words.below(high - low + 1)));
    }
  }
  return text;
}

class Digester {
 public:
  void add(const Ids& ids) {
    auto count = int32_t(ids.size());
    sha_.update({reinterpret_cast<const char*>(&count), 4});
    sha_.update({reinterpret_cast<const char*>(ids.data()), 4 * ids.size()});
    tokens_ += count;
  }
  void expect(const Json& figures) const {
    EXPECT_EQ(tokens_, figures.at("tokens").get<int64_t>());
    EXPECT_EQ(hex(sha_.digest()), figures.at("sha256").get<std::string>());
  }

 private:
  Sha256 sha_;
  int64_t tokens_ = 0;
};

// Everything that tiktoken says of one vocabulary.
void expect_tiktokens_ids(const Tokenizer& tokenizer, const Json& figures) {
  for (const auto& [name, ids] : figures.at("texts").items())
    EXPECT_EQ(tokenizer.encode(reference().at("texts").at(name).get<std::string>()), ids.get<Ids>())
        << name;
  EXPECT_EQ(tokenizer.encode(reference().at("texts").at("end of text").get<std::string>(),
                             SpecialTokens::allowed),
            figures.at("special").get<Ids>());
  for (const Json& random : figures.at("random")) {
    SCOPED_TRACE(random.at("kind"));
    Words words(random.at("seed"));
    Digester digester;
    for (int64_t n = random.at("count"); n > 0; --n) {
      std::string text = random_string(random.at("kind"), words);
      Ids ids = tokenizer.encode(text);
      digester.add(ids);
      if (tokenizer.decode(ids) != text)
        FAIL() << "no round trip: " << testing::PrintToString(text);
    }
    digester.expect(random);
  }
}

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2)
    bytes += char(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

TEST(TiktokenReference, SmallVocabulary) {
  const Json& figures = reference().at("small");
  BpeVocabularyBuilder builder;
  add_bytes(builder);
  int64_t id = 256;
  for (const auto& [left, right] :
       figures.at("merges").get<std::vector<std::array<std::string, 2>>>()) {
    std::string a = spell_bytes(from_hex(left)), b = spell_bytes(from_hex(right));
    builder.add_token(a + b, id++, "a test");
    builder.add_merge(a, b, "a test");
  }
  builder.add_special("<|endoftext|>", id, "a test");
  expect_tiktokens_ids(BpeTokenizer(builder.finish("a test"), "a test"), figures);
}

TEST(TiktokenReference, Gpt2) {
  if (!has_gpt2_files()) GTEST_SKIP() << "there is no " << gpt2_files();
  std::shared_ptr<const BpeTokenizer> tokenizer = load_bpe(gpt2_files());
  expect_tiktokens_ids(*tokenizer, reference().at("gpt2"));
  EXPECT_EQ(tokenizer->encode("please tell me a joke"), (Ids{29688, 1560, 502, 257, 9707}));
  EXPECT_EQ(tokenizer->end_of_text(), 50256);
  EXPECT_EQ(tokenizer->vocab_size(), 50257);
}

TEST(TiktokenReference, Gpt2OnTinyShakespeare) {
  std::string input = source_path("../shared/data/tinyshakespeare/input.txt");
  if (!has_gpt2_files() || !std::filesystem::exists(input)) GTEST_SKIP() << "there is no " << input;
  Digester digester;
  digester.add(load_bpe(gpt2_files())->encode(read_file(input)));
  digester.expect(reference().at("gpt2").at("tinyshakespeare"));
}

// tiktoken merges neighbours whose bytes together are a token, folio those that a rule names. That
// is the same where every token's bytes encode to it: the rule that completes a token is then the
// only pair of its parts that can stand side by side when its turn comes.
TEST(TiktokenReference, EveryTokenOfGpt2EncodesToItself) {
  if (!has_gpt2_files()) GTEST_SKIP() << "there is no " << gpt2_files();
  std::shared_ptr<const BpeTokenizer> tokenizer = load_bpe(gpt2_files());
  std::array<int32_t, 256> bytes;
  std::vector<MergeRule> rules;
  std::map<std::string, int32_t> ids;
  const BpeVocabulary& vocabulary = tokenizer->vocabulary();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) ids[vocabulary.tokens[id]] = int32_t(id);
  for (int b = 0; b < 256; ++b) bytes[size_t(b)] = ids.at(std::string(1, char(b)));
  for (auto [left, right] : vocabulary.merges)
    rules.push_back(
        {left, right, ids.at(vocabulary.tokens[size_t(left)] + vocabulary.tokens[size_t(right)])});
  BytePairs pairs(bytes, rules);
  for (int32_t id = 0; id < 50256; ++id) {
    const std::string& token = vocabulary.tokens[size_t(id)];
    Ids out(token.size());
    out.resize(pairs.encode(token, out.data()));
    EXPECT_EQ(out, Ids{id}) << token;
  }
}

}  // namespace
}  // namespace folio
