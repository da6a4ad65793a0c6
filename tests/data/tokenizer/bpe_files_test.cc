#include "data/tokenizer/bpe_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/files/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/data/tokenizer/gpt2_files.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;
using Ids = std::vector<int32_t>;

// The 256 bytes, "Ġt", "he", "Ġthe" and <|endoftext|>.
Json small_vocab() {
  BpeVocabularyBuilder builder;
  add_bytes(builder);
  BpeVocabulary bytes = builder.finish("bytes");
  Json vocab;
  for (size_t id = 0; id < 256; ++id) vocab[spell_bytes(bytes.tokens[id])] = id;
  vocab["\u0120t"] = 256;
  vocab["he"] = 257;
  vocab["\u0120the"] = 258;
  vocab["<|endoftext|>"] = 259;
  return vocab;
}
constexpr const char* small_merges = "#version: 0.2\n\u0120 t\nh e\n\u0120t he\n";

Json tokenizer_json() {
  Json vocab = small_vocab();
  return {{"version", "1.0"},
          {"added_tokens", {{{"id", 259}, {"content", "<|endoftext|>"}, {"special", true}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"model",
           {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"\u0120 t", "h e", "\u0120t he"}}}}};
}

class BpeFiles : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& text) { write_file(folder_ / name, text); }
  void put_pair(const Json& vocab, const std::string& merges) {
    put("vocab.json", vocab.dump());
    put("merges.txt", merges);
  }
  std::string error() {
    return error_of([&] { load_bpe(folder_.path()); });
  }
  void expect_small(const Tokenizer& tokenizer) {
    EXPECT_EQ(tokenizer.vocab_size(), 260);
    EXPECT_EQ(tokenizer.end_of_text(), 259);
    EXPECT_EQ(tokenizer.encode(" the"), Ids{258});
    EXPECT_EQ(tokenizer.encode("he t"), (Ids{257, 256}));
    EXPECT_EQ(tokenizer.encode("<|endoftext|>", SpecialTokens::allowed), Ids{259});
    EXPECT_EQ(tokenizer.encode("<|endoftext|>").size(), 13u);
    EXPECT_EQ(tokenizer.decode(Ids{258, 259}), " the<|endoftext|>");
  }
  TemporaryFolder folder_;
};

TEST_F(BpeFiles, ReadsEveryLayout) {
  EXPECT_THAT(error(), HasSubstr("has no tokenizer"));
  put("encoder.json", small_vocab().dump());
  put("vocab.bpe", small_merges);
  expect_small(*load_bpe(folder_.path()));
  expect_small(*load_bpe(folder_ / "vocab.bpe"));
  put_pair(small_vocab(), small_merges);
  expect_small(*load_bpe(folder_ / "vocab.json"));
  put("other.json", tokenizer_json().dump());
  expect_small(*load_bpe(folder_ / "other.json"));
  Json json = tokenizer_json();
  json["model"]["merges"] = Json::parse(R"([["\u0120", "t"], ["h", "e"], ["\u0120t", "he"]])");
  put("tokenizer.json", json.dump());
  expect_small(*load_bpe(folder_.path()));
}

TEST_F(BpeFiles, ComesBackFromJsonAndFromItsOwnFiles) {
  put_pair(small_vocab(), small_merges);
  put("added_tokens.json", R"({"a b": 260, "<|endo": 261})");
  auto tokenizer = load_bpe(folder_.path());
  EXPECT_EQ(tokenizer->encode("ha b<|endoftext|><|endo", SpecialTokens::allowed),
            (Ids{tokenizer->encode("h")[0], 260, 259, 261}));
  auto back = tokenizer_from_text(to_text(*tokenizer), "it");
  EXPECT_TRUE(*back == *tokenizer);
  EXPECT_EQ(back->encode("a b the", SpecialTokens::allowed), (Ids{260, 258}));
  EXPECT_EQ(merges_txt(tokenizer->vocabulary()), small_merges);
  Json vocab = small_vocab();
  vocab["a b"] = 260;
  vocab["<|endo"] = 261;
  EXPECT_EQ(Json::parse(vocab_json(tokenizer->vocabulary())), vocab);
}

// What a checkpoint keeps must be readable again.
TEST_F(BpeFiles, ASpecialTokenMayHaveThePlainOnesBytes) {
  Json json = tokenizer_json();
  json["added_tokens"].push_back({{"id", 260}, {"content", " t"}, {"special", true}});
  put("tokenizer.json", json.dump());
  auto tokenizer = load_bpe(folder_.path());
  EXPECT_EQ(tokenizer->encode(" t"), Ids{256});
  EXPECT_EQ(tokenizer->encode(" t", SpecialTokens::allowed), Ids{260});
  auto again = tokenizer_from_text(to_text(*tokenizer), "itself");
  EXPECT_EQ(*again, *tokenizer);
  EXPECT_EQ(again->encode(" t"), Ids{256});
  EXPECT_EQ(again->encode(" t", SpecialTokens::allowed), Ids{260});
}

TEST_F(BpeFiles, NamesWhatIsWrongAndWhere) {
  auto with_merges = [&](const std::string& merges) {
    put_pair(small_vocab(), merges);
    return error();
  };
  EXPECT_THAT(with_merges("#version: 0.2\nh e\nh\n"),
              AllOf(HasSubstr("merges.txt:3:"), HasSubstr("\"h\"")));
  EXPECT_THAT(with_merges("h e\n\nh t\n"), HasSubstr("merges.txt:2:"));
  EXPECT_THAT(with_merges("h e t\n"), HasSubstr("two tokens"));
  EXPECT_THAT(with_merges("h e\nxx e\n"), AllOf(HasSubstr("merges.txt:2:"), HasSubstr("\"xx\"")));
  EXPECT_THAT(with_merges("h e\nh e\n"), HasSubstr("merge h e is there twice"));
  EXPECT_THAT(with_merges("h e\ne h\n"), AllOf(HasSubstr("merge 2 (e h)"), HasSubstr("eh")));
  EXPECT_EQ(with_merges("h e\r\n"), "");

  auto with_vocab = [&](const char* key, const Json& id) {
    Json vocab = small_vocab();
    if (id.is_null())
      vocab.erase(key);
    else
      vocab[key] = id;
    put_pair(vocab, "h e\n");
    return error();
  };
  EXPECT_THAT(with_vocab("he", nullptr),
              AllOf(HasSubstr("vocab.json"), HasSubstr("none with id 257")));
  EXPECT_THAT(with_vocab("he", 256), AllOf(HasSubstr("id 256"), HasSubstr("\"he\"")));
  EXPECT_THAT(with_vocab("he", "257"), HasSubstr("must be an integer"));
  EXPECT_THAT(with_vocab("he", -1), HasSubstr("has id -1"));
  EXPECT_THAT(with_vocab("he", uint64_t(1) << 63), HasSubstr("vocab.json"));
  EXPECT_THAT(with_vocab("he", 1000000000), HasSubstr("1000000000"));
  EXPECT_THAT(with_vocab("a b", 260), HasSubstr("byte alphabet"));
  EXPECT_THAT(with_vocab("", 260), HasSubstr("byte alphabet"));
  put_pair(Json::array(), "");
  EXPECT_THAT(error(), HasSubstr("must be an object"));
  put("vocab.json", "{\"a\": ");
  EXPECT_THAT(error(), AllOf(HasSubstr("vocab.json"), HasSubstr("not JSON")));
  put("vocab.json", R"({"ab": 0})");
  EXPECT_THAT(error(), HasSubstr("has no token for any byte"));
  std::filesystem::remove(folder_ / "merges.txt");
  EXPECT_THAT(error_of([&] { load_bpe(folder_ / "vocab.json"); }), HasSubstr("merges.txt"));
}

TEST_F(BpeFiles, RejectsATokenizerJsonThatWouldGiveOtherIds) {
  auto with = [&](const char* pointer, const Json& value) {
    Json json = tokenizer_json();
    json[Json::json_pointer(pointer)] = value;
    put("tokenizer.json", json.dump());
    return error();
  };
  EXPECT_EQ(with("/model/dropout", nullptr), "");
  EXPECT_EQ(with("/model/continuing_subword_prefix", ""), "");
  EXPECT_THAT(with("/model/type", "Unigram"), HasSubstr("Unigram"));
  EXPECT_THAT(with("/model/dropout", 0.1), HasSubstr("dropout"));
  EXPECT_EQ(with("/model/byte_fallback", true), "");  // there is nothing to fall back from
  EXPECT_THAT(with("/normalizer", {{"type", "NFD"}}), HasSubstr("NFD"));
  EXPECT_THAT(with("/pre_tokenizer", nullptr), HasSubstr("pre_tokenizer"));
  EXPECT_THAT(with("/model", 3), HasSubstr("is no tokenizer.json"));
  EXPECT_THAT(with("/model/merges", 3), HasSubstr("must be an array"));
  EXPECT_THAT(with("/model/merges", {"h e", "he"}), HasSubstr("\"merges\"[1]"));
  EXPECT_THAT(with("/model/merges", Json::parse(R"([["h", 1]])")), HasSubstr("\"merges\"[0]"));
  EXPECT_THAT(with("/added_tokens", 3), HasSubstr("must be an array"));
  EXPECT_THAT(with("/added_tokens/0", {{"id", 1}}), HasSubstr("\"content\""));
  for (int id : {3, 260})
    EXPECT_THAT(with("/added_tokens/0/id", id),
                AllOf(HasSubstr(fmt::format("\"<|endoftext|>\" has id {}", id)),
                      HasSubstr("would give it 259, which is its id in the vocabulary")));
}

// A megabyte of one letter, which looking at every pair again would take years for.
TEST_F(BpeFiles, ALongPretokenTakesNoTimeToSpeakOf) {
  Json vocab = small_vocab();
  vocab["aa"] = 260;
  vocab["aaaa"] = 261;
  put_pair(vocab, "a a\naa aa\n");
  Ids ids = load_bpe(folder_.path())->encode(std::string((1 << 20) + 3, 'a'));
  Ids expected(1 << 18, 261);
  expected.push_back(260);
  expected.push_back(load_bpe(folder_.path())->encode("a")[0]);
  EXPECT_TRUE(ids == expected);
}

}  // namespace
}  // namespace folio
