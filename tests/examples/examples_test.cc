// The programs of tests/examples train as far as their models can, on a text made here.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "tests/paths.h"

namespace folio {
namespace {

// Sentences of a small grammar, some 70,000 characters.
std::string some_text() {
  const std::vector<std::vector<std::string>> words{
      {"the", "a", "every", "this"},
      {"small", "sleepy", "green", "brave"},
      {"cat", "tortoise", "gardener", "bird"},
      {"watches", "follows", "greets", "forgets"},
      {"the moon.\n", "a cloud.\n", "some rain.\n", "the garden.\n"}};
  std::mt19937 random(1);
  std::string text;
  for (int sentence = 0; sentence < 2000; ++sentence)
    for (const auto& choices : words)
      text += choices[random() % choices.size()] + (text.ends_with("\n") ? "" : " ");
  return text;
}

// In nats: of a character, and of a character given the one before it.
struct Entropies {
  double of_one = 0, of_next = 0;
  explicit Entropies(const std::string& text) {
    std::map<char, double> ones;
    std::map<std::pair<char, char>, double> pairs;
    const double n = double(text.size() - 1);
    for (size_t i = 0; i + 1 < text.size(); ++i) ++ones[text[i]], ++pairs[{text[i], text[i + 1]}];
    for (auto [c, count] : ones) of_one -= count / n * std::log(count / n);
    for (auto [pair, count] : pairs) of_next -= count / n * std::log(count / ones[pair.first]);
  }
};

// The losses that an example prints, first to last.
std::vector<double> losses_of(const std::string& example, const std::string& text, int steps) {
  const std::string path = testing::TempDir() + "/" + example + "_example.txt";
  std::ofstream(path) << text;
  const std::string command =
      example_program(example) + " " + path + " " + std::to_string(steps) + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::string output;
  std::array<char, 256> part;
  while (size_t n = fread(part.data(), 1, part.size(), pipe)) output.append(part.data(), n);
  EXPECT_EQ(pclose(pipe), 0) << output;
  std::filesystem::remove(path);
  std::vector<double> losses;
  const std::string before = ": loss ";
  for (size_t at = 0; (at = output.find(before, at)) != std::string::npos; at += before.size())
    losses.push_back(std::stod(output.substr(at + before.size())));
  return losses;
}

TEST(Examples, BigramReachesTheEntropyOfPairs) {
  const std::string text = some_text();
  const Entropies entropies(text);
  const std::vector<double> losses = losses_of("bigram", text, 500);
  ASSERT_GE(losses.size(), 2u);
  EXPECT_GT(losses.front(), entropies.of_one);
  // What no table can go below but by the luck of the rows that are looked at.
  EXPECT_NEAR(losses.back(), entropies.of_next, 0.02);
  EXPECT_LT(entropies.of_next, 0.6 * entropies.of_one);
}

// Each sentence is one of 4^5 that are equally likely.
TEST(Examples, TransformerReachesTheEntropyOfTheText) {
  const std::string text = some_text();
  const double of_text = 2000 * 5 * std::log(4) / double(text.size());
  const std::vector<double> losses = losses_of("transformer", text, 300);
  ASSERT_GE(losses.size(), 2u);
  EXPECT_GT(losses.front(), Entropies(text).of_one);
  EXPECT_LT(losses.back(), of_text + 0.1);
  EXPECT_LT(of_text + 0.1, 0.6 * Entropies(text).of_next);
}

}  // namespace
}  // namespace folio
