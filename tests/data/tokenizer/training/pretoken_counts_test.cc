#include "data/tokenizer/training/pretoken_counts.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "data/tokenizer/pretokenizers/gpt2.h"

namespace folio {
namespace {

using Counts = std::map<std::string, int64_t>;

template <class C>
Counts all(const C& counts) {
  Counts found;
  counts.each([&](std::string_view pretoken, int64_t count) {
    EXPECT_TRUE(found.emplace(pretoken, count).second) << pretoken << " is there twice";
  });
  EXPECT_EQ(found.size(), counts.size());
  return found;
}

std::string random_text(uint32_t seed) {
  std::mt19937 random(seed);
  std::string text;
  for (int n = 0; n < 40000; ++n) {
    text += n % 3 ? " " : "'s\n";
    for (uint32_t length = random() % 4; length > 0; --length) text += char('a' + random() % 20);
  }
  return text + std::string(70000, 'x');
}

Counts pretokens_of(const std::string& text) {
  Counts counts;
  for (size_t at = 0, end; at < text.size(); at = end) {
    end = pretoken_end(text, at);
    ++counts[text.substr(at, end - at)];
  }
  return counts;
}

TEST(PretokenCounts, CountsEachPretoken) {
  PretokenCounts counts;
  EXPECT_EQ(all(counts), Counts());
  std::string text = random_text(1);
  counts.add_text(text);
  counts.add("seven times", 7);
  Counts expected = pretokens_of(text);
  ASSERT_GT(expected.size(), 4000u);
  expected["seven times"] = 7;
  EXPECT_EQ(all(counts), expected);
}

TEST(SharedPretokenCounts, HasWhatAllThreadsHaveCounted) {
  SharedPretokenCounts shared;
  Counts expected;
  std::vector<std::string> texts;
  for (uint32_t seed = 0; seed < 12; ++seed) {
    texts.push_back(random_text(seed % 5));
    for (const auto& [pretoken, count] : pretokens_of(texts.back())) expected[pretoken] += count;
  }
  std::vector<std::jthread> threads;
  for (size_t thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      for (size_t i = thread; i < texts.size(); i += 4) {
        PretokenCounts part;
        part.add_text(texts[i]);
        shared.add(part);
      }
    });
  threads.clear();
  EXPECT_EQ(all(shared), expected);
}

}  // namespace
}  // namespace folio
