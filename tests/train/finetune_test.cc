// init_from a folder of Hugging Face's layout, as nanoGPT's train.py goes on from gpt2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/hugging_face.h"
#include "checkpoint/model_file.h"
#include "checkpoint/open_model.h"
#include "checkpoint/quantized_file.h"
#include "tests/device.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

using testing::HasSubstr;

constexpr int64_t T = 24;

class FineTune : public testing::Test {
 protected:
  FineTune() {
    Dataset data = open_dataset(options.data_dir + "/tiny");
    source = std::make_unique<Gpt>(GptConfig{.block_size = T,
                                             .vocab_size = data.meta.tokenizer->vocab_size(),
                                             .n_layer = 3,
                                             .n_head = 2,
                                             .n_embd = 8,
                                             .bias = true,
                                             .activation = gelu_tanh_op},
                                   test_device(), 9);
    save_hugging_face(model, *source, data.meta.tokenizer.get());
    options.init_from = model;
    options.model.block_size = TrainOptions{}.model.block_size;  // not given: the model's
  }

  std::string error(const OptionOrigins& given) {
    try {
      folio::Run run(options, given);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  std::string model = folder / "model";
  std::unique_ptr<Gpt> source;
};

TEST_F(FineTune, StartsFromTheModelWithItsShape) {
  folio::Run run(options, {});
  EXPECT_EQ(run.iter, 0);
  EXPECT_EQ(run.options.model.n_layer, 3);
  EXPECT_EQ(run.options.model.n_embd, 8);
  EXPECT_EQ(run.options.model.block_size, T);
  EXPECT_TRUE(run.options.model.bias);
  EXPECT_EQ(run.model->config().activation, gelu_tanh_op);
  std::map<std::string, std::vector<float>> expected;
  source->parameters(
      [&](const std::string& name, Parameter& p) { expected[name] = to_vector<float>(p.array()); });
  run.model->parameters([&](const std::string& name, Parameter& p) {
    EXPECT_EQ(to_vector<float>(p.array()), expected.at(name)) << name;
  });
}

// How its texts end and how it converses stays with its checkpoints, over resuming too.
TEST_F(FineTune, TheFormatOfItsTextsStays) {
  const TextFormat format{.ends = {{1, 2}, true},
                          .chat = {.templates = "\"{{ messages[0].content }}\"", .tokens = {}}};
  const Dataset data = open_dataset(options.data_dir + "/tiny");
  save_hugging_face(model, *source, data.meta.tokenizer.get(), false, format);
  std::filesystem::create_directories(options.out_dir);
  {
    folio::Run run(options, {});
    save(last_checkpoint(options.out_dir), run.snapshot());
  }
  for (int resumed = 0; resumed < 2; ++resumed) {
    const OpenedModel opened = open_model("resume", options.out_dir, test_device());
    EXPECT_EQ(opened.format.ends, format.ends);
    EXPECT_EQ(default_template(opened.format.chat).source, "{{ messages[0].content }}");
    options.init_from = "resume";
    folio::Run run(options, {});
    EXPECT_EQ(run.text_format.ends, format.ends);
    save(last_checkpoint(options.out_dir), run.snapshot());
  }
}

TEST_F(FineTune, DropoutIsTheUsers) {
  options.model.dropout = 0.3;
  folio::Run run(options, {{"dropout", "command line"}});
  EXPECT_EQ(run.model->context().dropout, 0.3);
  const double once = item(accumulate_gradients(run).slice(0, 1));
  options.model.dropout = 0;
  folio::Run without(options, {});
  EXPECT_NE(item(accumulate_gradients(without).slice(0, 1)), once);
}

// nanoGPT's crop_block_size: the first positions stay.
TEST_F(FineTune, AShorterBlockSizeCutsThePositions) {
  options.model.block_size = 10;
  folio::Run run(options, {{"block_size", "command line"}});
  EXPECT_EQ(run.model->config().block_size, 10);
  std::map<std::string, Array> parameters;
  run.model->parameters(
      [&](const std::string& name, Parameter& p) { parameters[name] = p.array(); });
  source->parameters([&](const std::string& name, Parameter& p) {
    if (name != "transformer.wpe.weight") return;
    EXPECT_EQ(to_vector<float>(parameters.at(name)), to_vector<float>(p.array().slice(0, 10)));
  });
  Observer silent;
  options.max_iters = 4;
  folio::Run whole(options, {{"block_size", "command line"}});
  EXPECT_EQ(train(whole, silent), Finish::done);
  EXPECT_EQ(load_model(load(last_checkpoint(options.out_dir)), test_device())->config().block_size,
            10);
  options.model.block_size = T + 1;
  EXPECT_THAT(error({{"block_size", "command line"}}), HasSubstr("block_size = 24"));
}

TEST_F(FineTune, AnotherShapeIsRefused) {
  options.model.n_layer = 2;
  EXPECT_THAT(error({{"n_layer", "x.toml:3"}}), HasSubstr("the model has n_layer = 3"));
  options.model.n_layer = 3;
  options.model.bias = false;
  EXPECT_THAT(error({{"bias", "command line"}}), HasSubstr("the model has bias = true"));
}

TEST_F(FineTune, QuantisedWeightsCannotBeTrained) {
  CheckpointFile file = quantize(*source, WeightFormat::int8);
  std::filesystem::create_directories(options.out_dir);
  save(last_checkpoint(options.out_dir), file);
  for (std::string init_from : {last_checkpoint(options.out_dir).string(), std::string("resume")}) {
    options.init_from = init_from;
    EXPECT_THAT(error({}), HasSubstr("last.h5: holds int8 weights, for inference alone"))
        << init_from;
  }
}

TEST_F(FineTune, AnotherVocabularyIsRefused) {
  std::ofstream(folder / "other.txt") << "0123456789 0123456789";
  prepare({.name = "other", .input = folder / "other.txt", .data_dir = options.data_dir});
  options.dataset = "other";
  EXPECT_THAT(error({}), HasSubstr("another vocabulary"));
}

// It learns, resumes as what it is, and activations made again change nothing.
TEST_F(FineTune, TrainsResumesAndRecomputesToTheSameBytes) {
  options.max_iters = 12;
  options.eval_interval = 4;
  Observer silent;
  auto end_of = [&](bool recompute, const std::string& out) {
    options.out_dir = folder / out;
    options.recompute = recompute;
    folio::Run run(options, {});
    double before = estimate_loss(*run.model, run.data, run.options, 0).val;
    EXPECT_EQ(train(run, silent), Finish::done);
    EXPECT_LT(estimate_loss(*run.model, run.data, run.options, 0).val, before - 0.1);
    std::map<std::string, std::vector<float>> state;
    for (const auto& [name, array] : load(last_checkpoint(options.out_dir)).tensors)
      state[name] = to_vector<float>(array);
    return state;
  };
  EXPECT_TRUE(end_of(false, "kept") == end_of(true, "recomputed"));
  options.init_from = "resume";
  folio::Run resumed(options, {});
  EXPECT_EQ(resumed.iter, 13);
  EXPECT_EQ(resumed.model->config().activation, gelu_tanh_op);
}

}  // namespace
}  // namespace folio
