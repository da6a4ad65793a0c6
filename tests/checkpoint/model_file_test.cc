#include "checkpoint/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/backend.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/device.h"

namespace folio {
namespace {

using testing::HasSubstr;

std::string error(const CheckpointFile& file) {
  try {
    load_model(file, test_device());
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// A model as large as the options say would be made before its first tensor is missed.
TEST(LoadModel, MakesNoModelLargerThanItsTensors) {
  CheckpointFile file = tiny_checkpoint();
  EXPECT_EQ(error(file), "");
  for (const char* key : {"option/n_layer", "option/n_embd", "option/block_size", "vocab_size"}) {
    CheckpointFile claims = file;
    claims.attributes[key] = int64_t{1} << 40;
    size_t before = test_backend()->memory.use().peak;
    EXPECT_THAT(error(claims),
                testing::AnyOf(HasSubstr("the model needs"), HasSubstr("no tensor \"model/")))
        << key;
    EXPECT_LE(test_backend()->memory.use().peak, before + 100'000) << key;
  }
}

TEST(TakeModel, HasTheFilesOwnArrays) {
  const RunningOn running(cpu);  // whose Arrays have addresses then
  CheckpointFile shared = tiny_checkpoint(), file;
  file.attributes = shared.attributes;
  std::map<std::string, const void*> places;
  for (const auto& [name, array] : shared.tensors) {
    file.tensors[name] = backend(array)->elementwise.cast(array, array.dtype());
    places[name] = file.tensors[name].address();
  }
  take_model(file, cpu)->parameters([&](const std::string& name, Parameter& parameter) {
    EXPECT_EQ(parameter.array().address(), places.at("model/" + name)) << name;
    EXPECT_FALSE(file.has("model/" + name)) << name;
  });
  // What others see is copied: an optimiser must not write there.
  CheckpointFile another = shared;
  take_model(another, cpu)->parameters([&](const std::string& name, Parameter& parameter) {
    const Array& original = shared.tensor("model/" + name);
    EXPECT_NE(parameter.array().address(), original.address()) << name;
    EXPECT_EQ(to_vector<float>(parameter.array()), to_vector<float>(original)) << name;
  });
}

TEST(LoadModel, NumbersThatAreNotFiniteAreNamed) {
  for (const char* name : {"model/transformer.wte.weight", "model/transformer.ln_f.weight"})
    for (float bad : {NAN, INFINITY, -INFINITY}) {
      CheckpointFile file = tiny_checkpoint();
      std::vector<float> values = to_vector<float>(file.tensors[name]);
      values[0] = bad;
      file.tensors[name] = to_array(values, file.tensors[name].shape());
      EXPECT_THAT(error(file), HasSubstr(std::string(name) + " holds NaN or infinity"));
    }
}

// Of each field another value than the default.
TEST(ModelConfig, EveryFieldComesBack) {
  GptConfig config;
  each_field(config, [](const char*, auto& field, auto) {
    using Field = std::decay_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, Activation>)
      field = gelu_tanh_op;
    else if constexpr (std::is_same_v<Field, bool>)
      field = !field;
    else if constexpr (std::is_same_v<Field, std::string>)
      field += "_changed";
    else
      field += Field(std::is_integral_v<Field> ? 1 : 0.25);
  });
  CheckpointFile file;
  put_config(file, config);
  std::map<std::string, std::string> fields;
  each_field(config, [&](const char* name, const auto& field, auto) {
    fields[name] = fmt::format("{}", field);
  });
  EXPECT_EQ(fields.size(), file.attributes.size());
  GptConfig back = model_config(file);
  each_field(back, [&](const char* name, const auto& field, auto) {
    EXPECT_EQ(fmt::format("{}", field), fields.at(name)) << name;
  });
}

// As every version has written them.
TEST(ModelConfig, FieldsHaveTheirPlacesInAFile) {
  CheckpointFile file;
  put_config(file, {.activation = gelu_tanh_op});
  std::vector<std::string> keys;
  for (const auto& [key, value] : file.attributes) keys.push_back(key);
  EXPECT_THAT(keys, testing::IsSupersetOf({"activation", "option/bias", "option/block_size",
                                           "option/dropout", "option/n_embd", "option/n_head",
                                           "option/n_layer", "vocab_size"}));
  EXPECT_EQ(std::get<std::string>(file.attributes.at("activation")), "gelu_tanh");
}

TEST(ModelConfig, AFileFromBeforeTheActivationHasNanoGpts) {
  CheckpointFile file = tiny_checkpoint();
  file.attributes.erase("activation");
  EXPECT_EQ(model_config(file).activation, gelu_erf_op);
  file.attributes["activation"] = std::string("swish");
  EXPECT_THAT(error(file), HasSubstr("the model's activation \"swish\" is not one"));
  file.attributes.erase("option/n_head");
  EXPECT_THAT(error(file), HasSubstr("option/n_head"));
}

TEST(ModelConfig, AFieldThatThisFolioDoesNotKnowIsNamed) {
  CheckpointFile file = tiny_checkpoint();
  for (Attribute value : {Attribute(true), Attribute(10000.0), Attribute(std::string("rms"))}) {
    file.attributes["config/value_embeddings"] = value;
    EXPECT_THAT(error(file),
                HasSubstr("a field \"value_embeddings\" that this folio does not know"));
  }
}

TEST(LoadModel, NamesTheTensorThatIsWrong) {
  CheckpointFile file = tiny_checkpoint();
  file.tensors["model/transformer.h.0.mlp.c_fc.weight"] = zeros({8, 3}, DType::f32);
  EXPECT_THAT(error(file), HasSubstr("tensor model/transformer.h.0.mlp.c_fc.weight is [8, 3], the "
                                     "model needs [8, 2]"));
  file.tensors.erase("model/transformer.h.0.mlp.c_fc.weight");
  EXPECT_THAT(error(file), HasSubstr("no tensor \"model/transformer.h.0.mlp.c_fc.weight\""));
}

}  // namespace
}  // namespace folio
