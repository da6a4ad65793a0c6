// The trainer against one that counts all pairs anew for every merge.
#include "data/tokenizer/training/train_bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "data/text/utf8.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/byte_alphabet.h"
#include "data/tokenizer/pretokenizers/gpt2.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Words = std::map<std::string, int64_t>;
using Merges = std::vector<std::pair<std::string, std::string>>;

BpeVocabulary trained(const Words& words, int64_t vocab_size, int64_t min_frequency = 1) {
  PretokenCounts part;
  for (const auto& [word, count] : words) part.add(word, count);
  SharedPretokenCounts counts;
  counts.add(part);
  return train_bpe(counts, {vocab_size, min_frequency});
}

Merges merges_of(const BpeVocabulary& vocabulary) {
  Merges merges;
  for (auto [left, right] : vocabulary.merges)
    merges.emplace_back(vocabulary.tokens[size_t(left)], vocabulary.tokens[size_t(right)]);
  return merges;
}

// Nothing is kept between two merges but the words; ends where there is no pair to merge any more.
struct SlowTrainer {
  std::map<std::string, int> ids;
  std::vector<std::pair<std::vector<std::string>, int64_t>> words;
  Merges merges;

  explicit SlowTrainer(const Words& text) {
    std::map<char32_t, std::string> alphabet;
    for (int byte = 0; byte < 256; ++byte) {
      std::string one(1, char(byte));
      alphabet[decode_utf8(spell_bytes(one), 0).code_point] = one;
    }
    for (const auto& [spelling, byte] : alphabet) ids.emplace(byte, int(ids.size()) + 1);
    for (const auto& [word, count] : text) {
      std::vector<std::string> symbols;
      for (char c : word) symbols.emplace_back(1, c);
      words.emplace_back(symbols, count);
    }
  }

  bool merge(int64_t min_frequency) {
    std::map<std::pair<int, int>, int64_t> counts;
    for (const auto& [symbols, count] : words)
      for (size_t i = 0; i + 1 < symbols.size(); ++i)
        counts[{ids.at(symbols[i]), ids.at(symbols[i + 1])}] += count;
    auto best = counts.end();  // the map's order is that of the ids
    for (auto at = counts.begin(); at != counts.end(); ++at)
      if (at->second >= min_frequency && (best == counts.end() || at->second > best->second))
        best = at;
    if (best == counts.end()) return false;
    std::string left, right;
    for (const auto& [token, id] : ids) {
      if (id == best->first.first) left = token;
      if (id == best->first.second) right = token;
    }
    merges.emplace_back(left, right);
    ids.emplace(left + right, int(ids.size()) + 1);
    for (auto& [symbols, count] : words) {
      std::vector<std::string> joined;
      for (size_t i = 0; i < symbols.size(); ++i) {
        bool both = i + 1 < symbols.size() && symbols[i] == left && symbols[i + 1] == right;
        joined.push_back(both ? left + right : symbols[i]);
        i += both;
      }
      symbols = joined;
    }
    return true;
  }
};

// Words of few letters, so that pairs tie and letters repeat, some of many bytes each.
Words random_words(uint32_t seed) {
  std::mt19937 random(seed);
  const char* const scripts[][4] = {{"a", "b", "c", " "},
                                    {"a", "a", "a", "-"},
                                    {"\u00e9", "\u4f60", "\u597d", "x"},
                                    {"\u0430", "\u0431", "\U0001f600", "\n"}};
  Words words;
  for (int n = 0; n < 60; ++n) {
    std::string word;
    for (size_t length = 1 + random() % 12; length > 0; --length)
      word += scripts[(seed + random() % 2) % 4][random() % 4];
    words[word] += int64_t(1 + random() % 3);
  }
  return words;
}

TEST(TrainBpe, MergesWhatATrainerThatCountsAnewMerges) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    Words words = random_words(seed);
    int64_t min_frequency = 1 + seed % 3;
    SlowTrainer slow(words);
    while (slow.merge(min_frequency)) {
    }
    auto count = int64_t(slow.merges.size());
    ASSERT_GT(count, 20);
    EXPECT_EQ(merges_of(trained(words, 257 + count, min_frequency)), slow.merges) << seed;
    slow.merges.resize(size_t(count / 2));
    EXPECT_EQ(merges_of(trained(words, 257 + count / 2, min_frequency)), slow.merges) << seed;
    EXPECT_THAT(message_of([&] { trained(words, 258 + count, min_frequency); }),
                HasSubstr(fmt::format("has only {} that occur {} times or more; give vocab_size={}",
                                      count, min_frequency, 257 + count)));
  }
}

// What it has merged a word into is what the tokenizer makes of it.
TEST(TrainBpe, TheTokenizerCutsWordsAsTheTrainerDid) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    Words words = random_words(seed);
    SlowTrainer slow(words);
    for (int n = 0; n < 25; ++n) ASSERT_TRUE(slow.merge(1));
    BpeTokenizer tokenizer(trained(words, 257 + 25), "a test");
    for (const auto& [symbols, count] : slow.words) {
      std::string word;
      std::vector<int32_t> ids;
      for (const std::string& symbol : symbols) word += symbol, ids.push_back(slow.ids.at(symbol));
      if (pretoken_end(word, 0) != word.size()) continue;  // no single pretoken
      EXPECT_EQ(tokenizer.encode(word), ids) << word;
      EXPECT_EQ(tokenizer.decode(ids), word);
    }
  }
}

TEST(TrainBpe, OfPairsThatOccurEquallyOftenTakesTheSmallerIds) {
  // A space's id is above the letters', for it is spelled U+0120.
  Words words{{"  ", 3}, {"zz", 3}, {"zy", 3}, {"yz", 3}};
  EXPECT_EQ(merges_of(trained(words, 261)),
            (Merges{{"y", "z"}, {"z", "y"}, {"z", "z"}, {" ", " "}}));
  // A pair's count falls while it waits: "bc" occurs twice only, once "ab" is merged.
  words = {{"abc", 3}, {"bc", 2}, {"xy", 4}, {"ab", 3}};
  EXPECT_EQ(merges_of(trained(words, 261)),
            (Merges{{"a", "b"}, {"x", "y"}, {"ab", "c"}, {"b", "c"}}));
}

TEST(TrainBpe, ARunIsMergedFromTheLeft) {
  Words words{{"aaaaa", 1}, {"aaab", 1}};
  BpeVocabulary vocabulary = trained(words, 260);
  // aa|aa|a and aa|a|b: then (aa, a) twice, which leaves aa|aaa and aaa|b.
  EXPECT_EQ(merges_of(vocabulary), (Merges{{"a", "a"}, {"aa", "a"}, {"aa", "aaa"}}));
}

TEST(TrainBpe, BeginsWithTheEndOfTextAndTheBytes) {
  BpeVocabulary vocabulary = trained({}, 257);
  ASSERT_EQ(vocabulary.tokens.size(), 257u);
  EXPECT_EQ(vocabulary.tokens[0], "<|endoftext|>");
  EXPECT_EQ(vocabulary.added, (std::map<std::string, AddedToken>{{"<|endoftext|>", {.id = 0}}}));
  EXPECT_EQ(vocabulary.tokens[1], "!");
  for (size_t id = 2; id < 257; ++id)
    EXPECT_LT(decode_utf8(spell_bytes(vocabulary.tokens[id - 1]), 0).code_point,
              decode_utf8(spell_bytes(vocabulary.tokens[id]), 0).code_point);
  EXPECT_TRUE(vocabulary.merges.empty());
}

TEST(TrainBpe, RefusesWhatCannotBe) {
  EXPECT_THAT(message_of([] {
                trained({{"ab", 9}}, 256);
              }),
              AllOf(HasSubstr("vocab_size=256 is too small"), HasSubstr("257")));
  EXPECT_THAT(message_of([] { trained({{"ab", 9}}, -5); }), HasSubstr("vocab_size=-5"));
  EXPECT_THAT(message_of([] { trained({{"ab", 9}}, 258, 0); }), HasSubstr("min_frequency"));
  EXPECT_THAT(message_of([] {
                trained({{"ab", 9}, {"a", 1}}, INT64_MAX);
              }),
              HasSubstr("has only 1 that occur 1 times or more; give vocab_size=258"));
}

// Each merge takes the time of its places, not of the word they are in.
TEST(TrainBpe, TakesWordsOfManyBytes) {
  std::mt19937 random(3);
  std::string word(2000000, 'a');
  for (char& c : word) c = char('a' + random() % 26);
  BpeTokenizer tokenizer(trained({{word, 1}, {std::string(1 << 20, '-'), 2}}, 257 + 1000), "it");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(word)), word);
}

}  // namespace
}  // namespace folio
