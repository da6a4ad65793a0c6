#include "data/corpus/split_corpus.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>

#include "data/files/files.h"
#include "tests/data/temporary_folder.h"

namespace folio {
namespace {

class SplitFiles : public testing::Test {
 protected:
  // Files of so many bytes, that are there.
  std::vector<CorpusFile> files(const std::vector<int64_t>& sizes) {
    std::vector<CorpusFile> files;
    for (size_t i = 0; i < sizes.size(); ++i) {
      files.push_back({folder_ / fmt::format("{:03}.txt", i), sizes[i]});
      std::ofstream(files.back().path) << std::string(size_t(sizes[i]), 'x');
    }
    return files;
  }
  TemporaryFolder folder_;
};

// Sizes like those of notes and books: over three powers of ten.
TEST_F(SplitFiles, GivesValBetweenHalfAndTwiceItsShareAndTrainAtLeastHalfOfIts) {
  std::mt19937 random(4);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<int64_t> sizes(1 + random() % 20);
    for (int64_t& size : sizes) size = int64_t(200 * std::pow(10.0, random() % 3000 / 1000.0));
    double fraction = (1 + random() % 98) / 100.0;
    auto corpus = files(sizes);
    double total = 0, val = 0;
    std::vector<int64_t> covered(sizes.size());
    auto stretches = split_files(corpus, fraction);
    for (const Stretch& stretch : stretches) {
      auto bytes = stretch.end - stretch.begin;
      ASSERT_GT(bytes, 0);
      size_t file = size_t(std::stoi(stretch.path.substr(stretch.path.size() - 7)));
      ASSERT_EQ(stretch.begin, covered[file]);  // each byte once, in order
      covered[file] = stretch.end;
      total += double(bytes);
      if (stretch.split == Split::val) val += double(bytes);
    }
    EXPECT_EQ(covered, sizes);
    EXPECT_LE(val, 2 * fraction * total) << trial;
    EXPECT_GE(val, fraction * total / 2) << trial;
    EXPECT_GE(total - val, (1 - fraction) * total / 2) << trial;
    auto again = split_files(corpus, fraction);
    ASSERT_EQ(again.size(), stretches.size());
    for (size_t i = 0; i < again.size(); ++i) EXPECT_EQ(again[i].split, stretches[i].split);
  }
}

// Notes alone are drawn whole: a document in val has no part in train.
TEST_F(SplitFiles, LeavesFilesWholeWhereTheyAreSmall) {
  auto corpus = files(std::vector<int64_t>(100, 300));
  auto stretches = split_files(corpus, 0.1);
  EXPECT_EQ(stretches.size(), 100u);
  EXPECT_EQ(std::ranges::count(stretches, Split::val, &Stretch::split), 10);
}

TEST_F(SplitFiles, CutsTextBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += i % 2 ? "\u4f60" : "x";
  write_file(folder_ / "a.txt", text);
  auto stretches = split_files({{folder_ / "a.txt", int64_t(text.size())}}, 0.25);
  ASSERT_EQ(stretches.size(), 2u);
  EXPECT_EQ(stretches[0].end, 38 * 1 + 37 * 3);  // 75 characters, as nanoGPT counts
}

}  // namespace
}  // namespace folio
