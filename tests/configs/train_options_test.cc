#include "configs/train_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/configs/config_file.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TrainOptions parse(std::vector<std::string> args, OptionOrigins* given = nullptr) {
  return parse_train_options(args, given);
}

std::string parse_error(std::vector<std::string> args) {
  return message_of([&] { parse(args); });
}

TEST(TrainOptions, DefaultsAreNanoGpts) {
  using namespace std::string_literals;
  auto integer = [](int64_t value) { return OptionValue(value); };
  OptionValues defaults = option_values(parse({}));
  const OptionValues known{{"out_dir", "out"s},
                           {"eval_interval", integer(2000)},
                           {"log_interval", integer(1)},
                           {"eval_iters", integer(200)},
                           {"eval_only", false},
                           {"always_save_checkpoint", true},
                           {"init_from", "scratch"s},
                           {"dataset", "shakespeare_char"s},
                           {"data_dir", "datasets"s},
                           {"allow_other_vocab", false},
                           {"gradient_accumulation_steps", integer(40)},
                           {"batches", "random"s},
                           {"batch_size", integer(12)},
                           {"block_size", integer(1024)},
                           {"n_layer", integer(12)},
                           {"n_head", integer(12)},
                           {"n_embd", integer(768)},
                           {"dropout", 0.0},
                           {"bias", false},
                           {"activation", "gelu_erf"s},
                           {"optimizer", "adamw"s},
                           {"learning_rate", 6e-4},
                           {"muon_lr", 0.02},
                           {"muon_warmup_iters", integer(300)},
                           {"early_stop", integer(0)},
                           {"report", true},
                           {"sample_tokens", integer(-1)},
                           {"tensorboard", false},
                           {"plot", "auto"s},
                           {"max_iters", integer(600000)},
                           {"weight_decay", 0.1},
                           {"weight_decay_schedule", "constant"s},
                           {"beta1", 0.9},
                           {"beta2", 0.95},
                           {"grad_clip", 1.0},
                           {"ema", 0.0},
                           {"decay_lr", true},
                           {"schedule", "cosine"s},
                           {"decay_fraction", 0.2},
                           {"warmup_iters", integer(2000)},
                           {"lr_decay_iters", integer(600000)},
                           {"min_lr", 6e-5},
                           {"device", "cpu"s},
                           {"dtype", "float32"s},
                           {"recompute", false},
                           {"seed", integer(1337)},
                           {"threads", integer(0)},
                           {"zero_stage", integer(1)},
                           {"comm_timeout", integer(300)},
                           {"check_network", false}};
  // A field of the model that nanoGPT's has not is GptConfig's alone.
  std::erase_if(defaults, [&](const auto& option) {
    return is_model_field(option.first) && !known.contains(option.first);
  });
  EXPECT_EQ(defaults, known);
}

TEST(TrainOptions, EveryRowWritesItsOwnMemberAndHasHelp) {
  TrainOptions options;
  std::set<const void*> members;
  std::set<std::string> names;
  for (const Option& row : option_rows(options)) {
    std::visit([&](auto* member) { members.insert(member); }, row.value);
    names.insert(row.name);
    EXPECT_FALSE(row.help.empty()) << row.name;
    EXPECT_LE(row.help.size(), 120u) << row.name;
    EXPECT_FALSE(row.group.empty()) << row.name;
  }
  EXPECT_EQ(members.size(), option_rows(options).size());
  EXPECT_EQ(names.size(), option_rows(options).size());
}

TEST(TrainOptions, GivenTellsWhatTheUserSetAndWhere) {
  ConfigFile file("n_layer = 2\n# wide enough\nn_embd = 24\n");
  OptionOrigins given;
  TrainOptions options = parse({file.path, "--n_embd=48", "--max_iters=100"}, &given);
  EXPECT_EQ(options.model.n_embd, 48);
  EXPECT_EQ(given, (OptionOrigins{{"n_layer", file.path + ":1"},
                                  {"n_embd", "command line"},
                                  {"max_iters", "command line"}}));
}

TEST(TrainOptions, AnUnknownKeyNamesTheNearest) {
  ConfigFile file("n_layers = 2\n");
  EXPECT_EQ(parse_error({file.path}),
            file.path + ":1: unknown key \"n_layers\"; did you mean \"n_layer\"?");
  EXPECT_THAT(parse_error({"--learning-rate=1e-3"}), HasSubstr("did you mean \"learning_rate\"?"));
}

TEST(TrainOptions, HeadsMustDivideTheWidth) {
  ConfigFile file("n_head = 5\n");
  std::string error = parse_error({file.path, "--n_embd=384"});
  EXPECT_THAT(error, HasSubstr("n_embd=384 (command line)"));
  EXPECT_THAT(error, HasSubstr("must be divisible by n_head=5 (" + file.path + ":1)"));
  EXPECT_THAT(parse_error({"--n_head=5"}), HasSubstr("n_embd=768 (default)"));
}

TEST(TrainOptions, OneThatAnotherLeavesWithoutEffectIsRefused) {
  EXPECT_EQ(parse_error({"--muon_lr=0.03"}),
            "command line: muon_lr: has an effect only with optimizer=muon, which is adamw "
            "(default); set that, or leave muon_lr out");
  ConfigFile file("muon_warmup_iters = 5\n");
  EXPECT_THAT(parse_error({file.path, "--optimizer=adamw"}),
              AllOf(StartsWith(file.path + ":1: muon_warmup_iters"), HasSubstr("(command line)")));
  EXPECT_THAT(parse_error({"--schedule=linear", "--decay_lr=false"}),
              HasSubstr("schedule: has an effect only with decay_lr=true, which is false"));
  EXPECT_THAT(parse_error({"--decay_fraction=0.5"}),
              HasSubstr("only with schedule=wsd, which is cosine (default)"));
  EXPECT_NO_THROW(parse({"--optimizer=muon", "--muon_lr=0.03", "--muon_warmup_iters=0"}));
  EXPECT_NO_THROW(parse({"--schedule=wsd", "--decay_fraction=1"}));
  EXPECT_NO_THROW(parse({"--init_from=resume", "--muon_lr=0.03"}));  // that run may be Muon's
}

TEST(TrainOptions, EveryRangeIsChecked) {
  for (std::string name :
       {"eval_interval", "log_interval", "eval_iters", "gradient_accumulation_steps", "batch_size",
        "block_size", "n_layer", "n_head", "n_embd"})
    EXPECT_EQ(parse_error({"--" + name + "=0"}),
              "command line: " + name + ": must be at least 1, got 0");
  for (std::string name :
       {"max_iters", "warmup_iters", "lr_decay_iters", "seed", "threads", "learning_rate",
        "weight_decay", "grad_clip", "min_lr", "muon_warmup_iters", "muon_lr"}) {
    EXPECT_EQ(parse_error({"--" + name + "=-1"}),
              "command line: " + name + ": must be at least 0, got -1");
    EXPECT_NO_THROW(parse({"--optimizer=muon", "--" + name + "=0"})) << name;
  }
  for (std::string name : {"dropout", "beta1", "beta2", "ema"})
    for (std::string value : {"1", "-0.5"})
      EXPECT_EQ(parse_error({"--" + name + "=" + value}),
                "command line: " + name + ": must be at least 0 and below 1, got " + value);
  EXPECT_EQ(
      parse_error({"--device=mps"}),
      "command line: device: must be \"cpu\", got \"mps\"; folio computes on the CPU, on all its "
      "cores; leave --device out");
  EXPECT_THAT(parse_error({"--device=cuda"}), HasSubstr("cmake -DFOLIO_CUDA=ON"));
  EXPECT_THAT(parse_error({"--device=cuda:1"}), HasSubstr("\"cuda\""));
  EXPECT_EQ(
      parse_error({"--dtype=float16"}),
      "command line: dtype: must be \"float32\" or \"bfloat16\", got \"float16\"; bfloat16 is "
      "as small, and needs no loss scaling");
  EXPECT_THAT(parse_error({"--dtype=float64"}), HasSubstr("float32 is the widest"));
}

// Before anything computes with them: sizes whose products overflow, in bytes.
TEST(TrainOptions, SizesThatCannotBeCountedNameThemselvesAndTheirBytes) {
  for (std::string option :
       {"n_embd=9223372036854775806", "n_embd=4611686018427387904",
        "batch_size=4611686018427387904", "batch_size=2305843009213693952",
        "batch_size=1152921504606846976", "block_size=9223372036854775807",
        "n_layer=9223372036854775807", "gradient_accumulation_steps=9223372036854775807"})
    EXPECT_THAT(parse_error({"--" + option, "--n_head=1"}),
                testing::AllOf(HasSubstr(option), HasSubstr("bytes"), HasSubstr("are left")));
}

TEST(TrainOptions, HelpNamesEveryOption) {
  try {
    parse({"--help"});
    FAIL() << "no help";
  } catch (const HelpRequested& help) {
    EXPECT_THAT(help.text, HasSubstr("folio train [CONFIG]"));
    for (const auto& [name, value] : option_values({}))
      EXPECT_THAT(help.text, HasSubstr("--" + name + "="));
    EXPECT_THAT(help.text, HasSubstr("0.0006"));
    EXPECT_THAT(help.text, HasSubstr("openwebtext"));
  }
}

TEST(TrainOptions, ACheckpointsValuesComeBack) {
  TrainOptions options = parse({"--n_layer=3", "--dropout=0.2", "--bias", "--out_dir=x"});
  OptionValues values = option_values(options);
  EXPECT_EQ(option_values(train_options_from(values, "ckpt.h5")), values);
}

// The command line that nanoGPT's documentation gives for a laptop.
TEST(TrainOptions, NanoGptsCommandLineWorks) {
  testing::internal::CaptureStderr();
  TrainOptions o = parse({"--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=1",
                          "--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4",
                          "--n_embd=128", "--max_iters=2000", "--lr_decay_iters=2000",
                          "--dropout=0.0", "--wandb_log=False", "--wandb_project=owt"});
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "folio: compile, wandb_log, wandb_project: nanoGPT's options that folio does not need; "
            "ignored\n");
  EXPECT_EQ(o.eval_iters, 20);
  EXPECT_EQ(o.model.dropout, 0.0);
}

TEST(TrainOptions, AnActivationIsGivenByItsName) {
  EXPECT_EQ(parse({"--activation=gelu_tanh"}).model.activation, gelu_tanh_op);
  EXPECT_EQ(option_values(parse({"--activation", "gelu_tanh"})).at("activation"),
            OptionValue(std::string("gelu_tanh")));
  for (std::string name :
       {"gelu_erf", "relu", "sigmoid", "silu", "tanh", "exp", "square", "swiglu"})
    EXPECT_EQ(fmt::format("{}", parse({"--activation=" + name}).model.activation), name);
  for (std::string other : {"swish", "1", "true", "log", "sqrt", "none"})
    EXPECT_THAT(message_of([&] { parse({"--activation=" + other}); }),
                AllOf(StartsWith("command line: activation: must be \"gelu_erf\" or \"gelu_tanh\""),
                      HasSubstr(", got \"" + other + "\"")));
}

TEST(TrainOptions, WhatAModelIsMadeOfIsGivenByItsOptions) {
  const GptConfig model =
      parse({"--position=rotary", "--rope_theta=500", "--rope_factor=8",
             "--rope_low_freq_factor=1.5", "--rope_high_freq_factor=5",
             "--rope_original_context=64", "--norm=rms", "--norm_eps=1e-6", "--qk_norm=rms_learned",
             "--ffn_hidden=24", "--head_dim=10", "--n_kv_head=2", "--attention_window=32",
             "--tie_weights=false", "--logit_softcap=15", "--residual_init=zero"})
          .model;
  EXPECT_EQ(model.position, "rotary");
  EXPECT_EQ(model.rope(), (Rope{500, 8, 1.5, 5, 64}));
  EXPECT_EQ(model.norm, "rms");
  EXPECT_EQ(model.norm_eps, 1e-6);
  EXPECT_EQ(model.qk_norm, "rms_learned");
  EXPECT_EQ(model.heads(), (Heads{model.n_head, 2, 10, 32}));
  EXPECT_EQ(model.hidden(), 24);
  EXPECT_FALSE(model.tie_weights);
  EXPECT_EQ(model.logit_softcap, 15);
  EXPECT_EQ(model.residual_init, "zero");
}

TEST(TrainOptions, WhatAModelCannotBeMadeOfIsRefused) {
  for (const auto& [given, wanted] : std::map<std::string, std::string>{
           {"position=alibi", "\"learned\" or \"rotary\" or \"none\""},
           {"norm=batch", "\"layer\" or \"rms\""},
           {"residual_init=zeros", "\"scaled\" or \"zero\""},
           {"qk_norm=on", "\"off\" or \"rms\" or \"rms_learned\""},
           {"rope_theta=0", "above 0"},
           {"rope_factor=0.5", "at least 1"},
           {"rope_low_freq_factor=0", "above 0"},
           {"rope_original_context=0", "at least 1"},
           {"norm_eps=-1e-5", "at least 0"},
           {"ffn_hidden=-1", "at least 0"},
           {"head_dim=-1", "at least 0"},
           {"n_kv_head=-1", "at least 0"},
           {"attention_window=-1", "at least 0"},
           {"logit_softcap=-1", "at least 0"}})
    EXPECT_THAT(message_of([&, option = given] { parse({"--" + option}); }),
                HasSubstr(": must be " + wanted + ", got "));
}

TEST(TrainOptions, ACheckpointsKeysThatMeanNothingHereAreSkipped) {
  OptionValues values = option_values({});
  values["compile"] = true;
  values["wandb_project"] = std::string("owt");
  EXPECT_EQ(option_values(train_options_from(values, "ckpt.h5")), option_values({}));
}

TEST(TrainOptions, PathsAreMarkedAsSuch) {
  TrainOptions options;
  std::set<std::string> paths;
  for (const Option& row : option_rows(options))
    if (row.path_after) paths.insert(row.name);
  EXPECT_EQ(paths, (std::set<std::string>{"out_dir", "init_from", "data_dir"}));
}

TEST(TrainOptions, AnOlderCheckpointLacksAnOptionANewerOneHasOneTooMany) {
  OptionValues values = option_values({});
  values.erase("grad_clip");
  EXPECT_EQ(train_options_from(values, "ckpt.h5").grad_clip, 1.0);
  values["rotary"] = true;
  EXPECT_THAT(message_of([&] { train_options_from(values, "ckpt.h5"); }),
              HasSubstr("ckpt.h5: unknown key \"rotary\""));
  EXPECT_THAT(message_of([&] {
                train_options_from({{"n_head", int64_t(5)}}, "ckpt.h5");
              }),
              HasSubstr("n_head=5 (ckpt.h5)"));
}

}  // namespace
}  // namespace folio
