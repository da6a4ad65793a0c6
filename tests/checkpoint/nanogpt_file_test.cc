#include "checkpoint/nanogpt_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint/model_file.h"
#include "data/files/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/data/torch_file/torch_file_writer.h"
#include "tests/device.h"
#include "tests/message.h"
#include "tests/paths.h"

namespace folio {
namespace {

namespace writer = torch_writer;
using testing::AllOf;
using testing::HasSubstr;

const std::string fixture = source_path("tests/reference/nanogpt.pt");

TEST(NanogptFile, ReadsWhatPyTorchSaved) {
  NanogptFile loaded = load_nanogpt(fixture, NanogptParts::all);
  const CheckpointFile& state = loaded.state;
  GptConfig config = model_config(state);
  EXPECT_EQ(config.n_layer, 2);
  EXPECT_EQ(config.n_head, 2);
  EXPECT_EQ(config.n_embd, 8);
  EXPECT_EQ(config.block_size, 16);
  EXPECT_EQ(config.vocab_size, 11);
  EXPECT_TRUE(config.bias);
  EXPECT_EQ(config.activation, gelu_erf_op);
  EXPECT_EQ(state.attribute<int64_t>("iter_num"), 30);
  EXPECT_EQ(state.attribute<int64_t>("adamw/steps"), 30);
  std::ifstream figures(source_path("tests/reference/nanogpt.json"));
  EXPECT_EQ(float(state.attribute<double>("best_val_loss")),
            nlohmann::json::parse(figures).at("best_val_loss").get<float>());
  EXPECT_EQ(state.attribute<double>("option/beta2"), 0.99);
  EXPECT_EQ(state.attribute<std::string>("option/dataset"), "counting");
  EXPECT_EQ(loaded.optimizer, "AdamW's state for 28 parameters after 30 steps");
  load_model(state, test_device())->parameters([&](const std::string& name, Parameter& p) {
    EXPECT_EQ(state.tensor("adamw/m/" + name).shape(), p.shape()) << name;
    std::vector<float> squares = to_vector<float>(state.tensor("adamw/v/" + name));
    EXPECT_TRUE(std::ranges::all_of(squares, [](float v) { return v >= 0; })) << name;
  });
  EXPECT_EQ(state.tensors.size(), 3u * 28);
}

TEST(NanogptFile, TheModelAloneNeedsNoOptimizer) {
  NanogptFile loaded = load_nanogpt(fixture, NanogptParts::model);
  EXPECT_EQ(loaded.state.tensors.size(), 28u);
  EXPECT_EQ(loaded.optimizer, "");
}

void expect_filled(const Array& array, float value) {
  for (float x : to_vector<float>(array)) EXPECT_EQ(x, value);
}

// A checkpoint of one layer without biases whose every piece can be spoilt: 2 channels, 3 tokens,
// 4 positions. Parameter i is filled with i + 1, its moments with 100 + i and 200 + i.
class Written : public testing::Test {
 protected:
  struct Row {
    std::string name;
    std::vector<int64_t> shape;
  };
  Written() {
    for (size_t i = 0; i < rows.size(); ++i) {
      model.emplace_back(rows[i].name, tensor(rows[i].shape, float(i + 1)));
    }
    model.emplace_back("lm_head.weight", model[0].second);
  }

  std::string tensor(std::vector<int64_t> shape, float value) {
    int64_t size = 1;
    for (int64_t n : shape) size *= n;
    std::string key = std::to_string(storages.size());
    storages.emplace_back(key, writer::bytes_of(std::vector<float>(size_t(size), value)));
    std::vector<int64_t> stride(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;) stride[d - 1] = stride[d] * shape[d];
    return writer::tensor({.key = key, .storage_size = size, .shape = shape, .stride = stride});
  }
  std::string moments(size_t row, int64_t step) {
    return writer::dict({{"step", tensor({}, float(step))},
                         {"exp_avg", tensor(rows[row].shape, 100 + float(row))},
                         {"exp_avg_sq", tensor(rows[row].shape, 200 + float(row))}});
  }
  // The optimizer's state for the parameters at `order` of `rows`.
  void set_optimizer(const std::vector<size_t>& order, int64_t step = 5) {
    std::string state = "}(";
    for (size_t i = 0; i < order.size(); ++i)
      state += writer::integer(int64_t(i)) + moments(order[i], step);
    optimizer = writer::dict({{"state", state + "u"}, {"param_groups", writer::list({})}});
  }

  std::string bytes() const {
    return writer::file(writer::dict({{"model", writer::dict(model)},
                                      {"optimizer", optimizer},
                                      {"model_args", writer::dict(args)},
                                      {"iter_num", writer::integer(7)},
                                      {"best_val_loss", writer::number(1e9)}}),
                        storages);
  }
  NanogptFile read() const { return load_nanogpt(bytes(), "x.pt", NanogptParts::all); }
  std::string error() const {
    return error_of([&] { read(); });
  }
  std::string& value_of(const std::string& name) {
    return std::ranges::find(model, name, [](auto& row) { return row.first; })->second;
  }

  const std::vector<Row> rows = {
      {"transformer.wte.weight", {3, 2}},
      {"transformer.wpe.weight", {4, 2}},
      {"transformer.h.0.ln_1.weight", {2}},
      {"transformer.h.0.attn.c_attn.weight", {6, 2}},
      {"transformer.h.0.attn.c_proj.weight", {2, 2}},
      {"transformer.h.0.ln_2.weight", {2}},
      {"transformer.h.0.mlp.c_fc.weight", {8, 2}},
      {"transformer.h.0.mlp.c_proj.weight", {2, 8}},
      {"transformer.ln_f.weight", {2}},
  };
  writer::Items storages, model;
  writer::Items args = {{"n_layer", writer::integer(1)},    {"n_head", writer::integer(1)},
                        {"n_embd", writer::integer(2)},     {"block_size", writer::integer(4)},
                        {"vocab_size", writer::integer(3)}, {"bias", writer::boolean(false)}};
  std::string optimizer = writer::none();
};

// torch.compile's and DistributedDataParallel's wrappers, and the head alone of a tied pair.
TEST_F(Written, IsReadUnderItsWrappers) {
  for (const char* prefix : {"module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."}) {
    writer::Items plain = model;
    for (auto& [name, tensor] : model) name = prefix + name;
    EXPECT_EQ(error(), "") << prefix;
    NanogptFile loaded = read();
    for (size_t i = 0; i < rows.size(); ++i)
      expect_filled(loaded.state.tensor("model/" + rows[i].name), float(i + 1));
    model = plain;
  }
  model.erase(model.begin());
  expect_filled(read().state.tensor("model/transformer.wte.weight"), 1);
  model.erase(model.end() - 1);
  EXPECT_THAT(error(), HasSubstr("tensor transformer.wte.weight is missing"));
}

// A group as torch.optim.AdamW's state_dict has it, with one setting otherwise.
TEST_F(Written, SettingsThatFoliosAdamWLacksAreRefused) {
  auto error_with = [&](const std::string& key, const std::string& value) {
    writer::Items group = {{"lr", writer::number(1e-3)},
                           {"betas", writer::tuple({writer::number(0.9), writer::number(0.95)})},
                           {"eps", writer::number(1e-8)},
                           {"weight_decay", writer::number(0.1)},
                           {"amsgrad", writer::boolean(false)},
                           {"foreach", writer::none()},
                           {"maximize", writer::boolean(false)},
                           {"capturable", writer::boolean(false)},
                           {"differentiable", writer::boolean(false)},
                           {"fused", writer::boolean(true)},
                           {"decoupled_weight_decay", writer::boolean(true)},
                           {"params", writer::list({writer::integer(0)})}};
    group.emplace_back(key, value);  // the last counts
    optimizer = writer::dict({{"state", "}(" + writer::integer(0) + moments(0, 5) + "u"},
                              {"param_groups", writer::list({writer::dict(group)})}});
    return error();
  };
  EXPECT_EQ(error_with("eps", writer::number(1e-8)), "");
  EXPECT_THAT(error_with("eps", writer::number(1e-3)),
              AllOf(HasSubstr("x.pt"), HasSubstr("eps is the float 0.001"), HasSubstr("1e-08")));
  EXPECT_THAT(error_with("amsgrad", writer::boolean(true)), HasSubstr("amsgrad is True"));
  EXPECT_THAT(error_with("maximize", writer::boolean(true)), HasSubstr("maximize is True"));
  EXPECT_THAT(error_with("decoupled_weight_decay", writer::boolean(false)),
              HasSubstr("decoupled_weight_decay is False"));
  EXPECT_THAT(error_with("momentum", writer::number(0.9)),
              HasSubstr("\"momentum\" is not a key that folio knows"));
  // The model alone does not care.
  EXPECT_EQ(error_of([&] { load_nanogpt(bytes(), "x.pt", NanogptParts::model); }), "");
}

TEST_F(Written, AnUnknownModelArgumentIsNamed) {
  args.emplace_back("n_kv_head", writer::integer(1));
  EXPECT_THAT(error(), HasSubstr("model_args: \"n_kv_head\" is not a key that folio knows"));
}

TEST_F(Written, IsReadByName) {
  NanogptFile loaded = read();
  for (size_t i = 0; i < rows.size(); ++i)
    expect_filled(loaded.state.tensor("model/" + rows[i].name), float(i + 1));
  EXPECT_EQ(loaded.state.attribute<int64_t>("iter_num"), 7);
  EXPECT_EQ(loaded.state.attribute<double>("best_val_loss"), 1e9);
  EXPECT_THAT(loaded.optimizer, HasSubstr("none in the file"));
}

// configure_optimizers lists matrices and embeddings, then the rest, in the model's order.
TEST_F(Written, MomentsFollowNanogptsOrder) {
  set_optimizer({0, 1, 3, 4, 6, 7, 2, 5, 8});
  NanogptFile loaded = read();
  EXPECT_EQ(loaded.state.attribute<int64_t>("adamw/steps"), 5);
  for (size_t i = 0; i < rows.size(); ++i) {
    expect_filled(loaded.state.tensor("adamw/m/" + rows[i].name), 100 + float(i));
    expect_filled(loaded.state.tensor("adamw/v/" + rows[i].name), 200 + float(i));
  }
}

// Its first version sorted each group by name and did not let the embeddings decay.
TEST_F(Written, MomentsFollowNanogptsFirstOrder) {
  set_optimizer({3, 4, 6, 7, 2, 5, 8, 1, 0});
  NanogptFile loaded = read();
  for (size_t i = 0; i < rows.size(); ++i)
    expect_filled(loaded.state.tensor("adamw/m/" + rows[i].name), 100 + float(i));
}

TEST_F(Written, AnOptimizerThatDoesNotMatchIsLeftWithItsReason) {
  auto expect_left = [&](const std::string& reason) {
    NanogptFile loaded = read();
    EXPECT_THAT(loaded.optimizer, AllOf(HasSubstr("is left"), HasSubstr(reason)));
    EXPECT_EQ(loaded.state.tensors.size(), rows.size());
    EXPECT_FALSE(loaded.state.has("adamw/steps"));
  };
  set_optimizer({1, 0, 3, 4, 6, 7, 2, 5, 8});
  expect_left("transformer.wte.weight");
  set_optimizer({0, 1, 3});
  expect_left("3 parameters");
  set_optimizer({});
  expect_left("had not made a step");
  optimizer =
      writer::dict({{"state", "}" + std::string("(") + writer::integer(0) +
                                  writer::dict({{"momentum_buffer", writer::none()}}) + "u"},
                    {"param_groups", writer::list({})}});
  expect_left("1 parameters");
  optimizer = writer::integer(3);
  expect_left("none in the file");
}

TEST_F(Written, TheMaskOfOldAttentionIsPassedOver) {
  model.emplace_back("transformer.h.0.attn.bias", tensor({1, 1, 4, 4}, 1));
  EXPECT_EQ(read().state.tensors.size(), rows.size());
}

TEST_F(Written, AnUntiedHeadIsRefused) {
  value_of("lm_head.weight") = tensor({3, 2}, 1);  // the same values elsewhere
  EXPECT_EQ(error(), "");
  value_of("lm_head.weight") = tensor({3, 2}, 1.5f);
  EXPECT_THAT(error(), HasSubstr("x.pt: lm_head.weight is not transformer.wte.weight"));
}

TEST_F(Written, WrongTensorsAreNamed) {
  value_of("transformer.h.0.mlp.c_fc.weight") = tensor({2, 8}, 1);
  EXPECT_THAT(error(),
              AllOf(HasSubstr("transformer.h.0.mlp.c_fc.weight is [2, 8]"), HasSubstr("[8, 2]")));
  value_of("transformer.h.0.mlp.c_fc.weight") = tensor({8, 2}, 1);
  model.emplace_back("transformer.h.0.attn.c_attn.bias", tensor({6}, 1));
  EXPECT_THAT(error(), HasSubstr("transformer.h.0.attn.c_attn.bias has no place"));
  model.pop_back();
  model.erase(model.begin() + 4);
  EXPECT_THAT(error(), HasSubstr("transformer.h.0.attn.c_proj.weight is missing"));
}

// Sizes are held to what the file has before anything is allocated for them.
TEST_F(Written, ImpossibleSizesAreErrors) {
  auto with = [&](size_t i, int64_t value) {
    auto saved = args[i].second;
    args[i].second = writer::integer(value);
    std::string text = error();
    args[i].second = saved;
    return text;
  };
  EXPECT_THAT(with(0, INT32_MAX), HasSubstr("n_layer is 2147483647, for 10 tensors"));
  EXPECT_THAT(with(0, int64_t(1) << 62), HasSubstr("n_layer cannot be"));
  EXPECT_THAT(with(2, INT32_MAX), HasSubstr("transformer.wte.weight is [3, 2]"));
  EXPECT_THAT(with(3, 0), HasSubstr("block_size cannot be 0"));
  EXPECT_THAT(with(4, -3), HasSubstr("vocab_size cannot be -3"));
  args.erase(args.begin());
  EXPECT_THAT(error(), HasSubstr("n_layer is missing"));
}

// A small file whose tensors all look into one storage would fill much more memory than it has.
TEST_F(Written, TensorsThatShareTheirBytesAreRefused) {
  std::vector<float> shared(1 << 16, 1.0f);
  storages = {{"0", writer::bytes_of(shared)}};
  int64_t C = 64, size = int64_t(shared.size());
  args = {{"n_layer", writer::integer(40)},   {"n_head", writer::integer(1)},
          {"n_embd", writer::integer(C)},     {"block_size", writer::integer(4)},
          {"vocab_size", writer::integer(3)}, {"bias", writer::boolean(false)}};
  auto view = [&](std::vector<int64_t> shape) {
    std::vector<int64_t> stride =
        shape.size() == 2 ? std::vector{shape[1], int64_t(1)} : std::vector{int64_t(1)};
    return writer::tensor({.storage_size = size, .shape = shape, .stride = stride});
  };
  model = {{"transformer.wte.weight", view({3, C})},
           {"transformer.wpe.weight", view({4, C})},
           {"transformer.ln_f.weight", view({C})}};
  for (int i = 0; i < 40; ++i) {
    std::string h = fmt::format("transformer.h.{}.", i);
    model.emplace_back(h + "ln_1.weight", view({C}));
    model.emplace_back(h + "attn.c_attn.weight", view({3 * C, C}));
    model.emplace_back(h + "attn.c_proj.weight", view({C, C}));
    model.emplace_back(h + "ln_2.weight", view({C}));
    model.emplace_back(h + "mlp.c_fc.weight", view({4 * C, C}));
    model.emplace_back(h + "mlp.c_proj.weight", view({C, 4 * C}));
  }
  EXPECT_THAT(error(), HasSubstr("share their bytes"));
}

TEST_F(Written, AFileOfAnotherKindIsNamed) {
  std::string other = writer::file(writer::dict({{"state_dict", writer::dict({})}}), {});
  EXPECT_THAT(error_of([&] { load_nanogpt(other, "x.pt", NanogptParts::all); }),
              AllOf(HasSubstr("no \"model_args\""), HasSubstr("nanoGPT")));
}

}  // namespace
}  // namespace folio
