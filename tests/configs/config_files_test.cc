// The files in configs/ against nanoGPT's, value by value; folio's own recipes, in their shape.
#include <gtest/gtest.h>

#include <filesystem>

#include "configs/train_options.h"
#include "tests/paths.h"

namespace folio {
namespace {

using namespace std::string_literals;

OptionValue integer(int64_t value) { return value; }

// What nanoGPT's config/eval_gpt2*.py set, and the dataset that its train.py has by default.
OptionValues evaluation(const std::string& init_from) {
  return {{"batch_size", integer(8)},
          {"eval_iters", integer(500)},
          {"eval_only", true},
          {"init_from", init_from},
          {"dataset", "openwebtext"s}};
}

// File -> what nanoGPT's file of that name sets.
std::map<std::string, OptionValues> nanogpts() {
  OptionValues characters{{"out_dir", "out-shakespeare-char"s},
                          {"eval_interval", integer(250)},
                          {"eval_iters", integer(200)},
                          {"log_interval", integer(10)},
                          {"always_save_checkpoint", false},
                          {"dataset", "shakespeare_char"s},
                          {"gradient_accumulation_steps", integer(1)},
                          {"batch_size", integer(64)},
                          {"block_size", integer(256)},
                          {"n_layer", integer(6)},
                          {"n_head", integer(6)},
                          {"n_embd", integer(384)},
                          {"dropout", 0.2},
                          {"learning_rate", 1e-3},
                          {"max_iters", integer(5000)},
                          {"lr_decay_iters", integer(5000)},
                          {"min_lr", 1e-4},
                          {"beta2", 0.99},
                          {"warmup_iters", integer(100)}};
  OptionValues on_a_laptop = characters;  // the command line in nanoGPT's README
  for (const auto& [name, value] : OptionValues{{"eval_iters", integer(20)},
                                                {"log_interval", integer(1)},
                                                {"block_size", integer(64)},
                                                {"batch_size", integer(12)},
                                                {"n_layer", integer(4)},
                                                {"n_head", integer(4)},
                                                {"n_embd", integer(128)},
                                                {"max_iters", integer(2000)},
                                                {"lr_decay_iters", integer(2000)},
                                                {"dropout", 0.0}})
    on_a_laptop[name] = value;
  return {{"train_shakespeare_char.toml", characters},
          {"train_shakespeare_char_cpu.toml", on_a_laptop},
          {"train_gpt2.toml",
           {{"dataset", "openwebtext"s},
            {"batch_size", integer(12)},
            {"block_size", integer(1024)},
            {"gradient_accumulation_steps", integer(40)},
            {"max_iters", integer(600000)},
            {"lr_decay_iters", integer(600000)},
            {"eval_interval", integer(1000)},
            {"eval_iters", integer(200)},
            {"log_interval", integer(10)},
            {"weight_decay", 0.1}}},
          {"finetune_shakespeare.toml",
           {{"out_dir", "out-shakespeare"s},
            {"eval_interval", integer(5)},
            {"eval_iters", integer(40)},
            {"dataset", "shakespeare"s},
            {"init_from", "gpt2-xl"s},
            {"always_save_checkpoint", false},
            {"batch_size", integer(1)},
            {"gradient_accumulation_steps", integer(32)},
            {"max_iters", integer(20)},
            {"learning_rate", 3e-5},
            {"decay_lr", false}}},
          {"eval_gpt2.toml", evaluation("gpt2")},
          {"eval_gpt2_medium.toml", evaluation("gpt2-medium")},
          {"eval_gpt2_large.toml", evaluation("gpt2-large")},
          {"eval_gpt2_xl.toml", evaluation("gpt2-xl")}};
}

// folio's recipe -> the file whose model and batch it trains.
const std::map<std::string, std::string> kRecipes{
    {"shakespeare_fast.toml", "train_shakespeare_char_cpu.toml"},
    {"shakespeare_best.toml", "train_shakespeare_char_cpu.toml"},
    {"shakespeare_char_best.toml", "train_shakespeare_char.toml"}};

OptionValues read_config(const std::string& name) {
  std::vector<std::string> args{source_path("configs/" + name)};
  return option_values(parse_train_options(args));
}

TEST(ConfigFiles, SetWhatNanoGptsSetAndNothingElse) {
  std::map<std::string, OptionValues> expected = nanogpts();
  for (const auto& entry : std::filesystem::directory_iterator(source_path("configs"))) {
    std::string name = entry.path().filename();
    if (entry.path().extension() != ".toml" || kRecipes.contains(name)) continue;
    ASSERT_TRUE(expected.contains(name)) << name << " has no values here to be held to";
    OptionValues values = option_values({});
    for (const auto& [key, value] : expected.at(name)) values[key] = value;
    EXPECT_EQ(read_config(name), values) << name;
    expected.erase(name);
  }
  for (const auto& [name, values] : expected) ADD_FAILURE() << name << " is missing";
}

TEST(ConfigFiles, RecipesTrainNanoGptsShapeOnItsBatch) {
  for (const auto& [name, nanogpts] : kRecipes) {
    OptionValues recipe = read_config(name);
    OptionValues theirs = read_config(nanogpts);
    for (const char* key : {"dataset", "batch_size", "gradient_accumulation_steps", "block_size",
                            "n_layer", "n_head", "n_embd", "n_kv_head", "head_dim"})
      EXPECT_EQ(recipe.at(key), theirs.at(key)) << name << ": " << key;
  }
}

}  // namespace
}  // namespace folio
