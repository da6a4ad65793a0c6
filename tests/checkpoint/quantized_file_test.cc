// Models of quantised weights: what is read back, and what is refused.
#include "checkpoint/quantized_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/model_file.h"
#include "tests/checkpoint/quantized_model.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

constexpr const GptConfig& config = quantized_config;
constexpr const auto& formats = quantized_formats;

// A scale is the last 2 bytes of a record; bf16's numbers stand for themselves.
TEST(QuantizedFile, AScaleThatIsNotFiniteIsNamed) {
  for (WeightFormat format : formats) {
    Gpt model(config, test_device(), 1);
    CheckpointFile file = quantize(model, format);
    EXPECT_NO_THROW(load_quantized(file, test_device())) << name_of(format);
    std::string name = "transformer.h.1.mlp.c_fc.weight";
    Array& data = file.tensors[(format == WeightFormat::bf16 ? "model/" : "packed/") + name];
    std::string bytes(data.bytes(), '\0');
    backend(data)->memory.read(data, bytes.data());
    bytes.replace(bytes.size() - 2, 2, "\x80\xff");  // minus infinity
    backend(data)->memory.write(bytes.data(), data);
    EXPECT_THAT(error_of([&] { load_quantized(file, test_device()); }),
                testing::AllOf(HasSubstr(name), HasSubstr("NaN or infinite")));
  }
}

std::vector<float> logits_of(Gpt& model) {
  NoGrad no_grad;
  return to_vector<float>(
      model(to_array(std::vector<int32_t>{3, 1, 4, 1, 5, 9}, {2, 3}, test_device())).array());
}

// `folio quantize` writes what the CPU packs; a device that opens it computes with the same numbers
// as if it had packed the model itself.
TEST(QuantizedFile, OfTheCpuIsWhatAnyDevicePacks) {
  for (WeightFormat format : formats) {
    Gpt on_cpu(config, cpu, 1), here(config, test_device(), 1);
    auto opened = load_quantized(quantize(on_cpu, format), test_device());
    auto own = load_quantized(quantize(here, format), test_device());
    EXPECT_EQ(logits_of(*opened), logits_of(*own)) << name_of(format);
  }
}

CheckpointFile quantized(WeightFormat format) {
  Gpt model(config, test_device(), 1);
  return quantize(model, format);
}

std::string error(const CheckpointFile& file) {
  return error_of([&] { load_quantized(file, test_device()); });
}

TEST(LoadQuantized, NamesTheTensorThatIsWrong) {
  for (WeightFormat format : formats) {
    CheckpointFile file = quantized(format);
    ASSERT_EQ(error(file), "");
    std::string name = format == WeightFormat::bf16 ? "model/" : "packed/";
    name += "transformer.h.1.mlp.c_fc.weight";
    Array good = file.tensors.at(name);
    for (const Array& bad : {good.slice(0, good.dim(0) - 1), good.reshape({good.size()}),
                             Array(good.shape(), DType::f32, test_device()),
                             Array({0}, good.dtype(), test_device())}) {
      file.tensors[name] = bad;
      EXPECT_THAT(error(file), HasSubstr("tensor " + name)) << name;
    }
    file.tensors.erase(name);
    EXPECT_THAT(error(file), HasSubstr("no tensor \"" + name));
  }
  CheckpointFile file = quantized(WeightFormat::int8);
  file.tensors.erase("model/transformer.wpe.weight");
  EXPECT_THAT(error(file), HasSubstr("no tensor \"model/transformer.wpe.weight\""));
}

TEST(LoadQuantized, ReadsNoFormatAndNoLayoutThatItDoesNotKnow) {
  CheckpointFile file = quantized(WeightFormat::int4);
  file.attributes["weights"] = std::string("int3");
  EXPECT_THAT(error(file), HasSubstr("its weights are \"int3\""));
  file.attributes["weights"] = std::string("int8");  // the bytes are int4's
  EXPECT_THAT(error(file), HasSubstr("tensor packed/transformer.wte.weight"));
  file.attributes["weights"] = std::string("int4");
  file.attributes["packed_layout"] = packed_layout + 1;
  EXPECT_THAT(error(file), HasSubstr("quantise the model that they were made from again"));
  file.attributes.erase("packed_layout");
  EXPECT_THAT(error(file), HasSubstr("packed_layout"));
}

TEST(LoadQuantized, KnowsEveryFieldOfTheModel) {
  CheckpointFile file = quantized(WeightFormat::int8);
  file.attributes["config/rope_theta"] = 10000.0;
  EXPECT_THAT(error(file), HasSubstr("a field \"rope_theta\" that this folio does not know"));
}

// Claims of sizes that the tensors do not have take no memory.
TEST(LoadQuantized, MakesNoModelLargerThanItsTensors) {
  for (WeightFormat format : formats) {
    CheckpointFile file = quantized(format);
    for (const char* key : {"option/n_layer", "option/n_embd", "option/block_size", "vocab_size"}) {
      for (int64_t size : {int64_t{1} << 40, std::numeric_limits<int64_t>::max() / 2 * 2}) {
        CheckpointFile claims = file;
        claims.attributes[key] = size;
        size_t before = test_backend()->memory.use().peak;
        EXPECT_NE(error(claims), "") << key;
        EXPECT_LE(test_backend()->memory.use().peak, before + 100'000) << key;
      }
    }
  }
}

// The matrices of the f32 model would take 13 times what those of the file do.
TEST(LoadQuantized, HasNoFloat32MatrixOnTheWay) {
  CheckpointFile file;
  put_config(file, {.block_size = 1, .vocab_size = 32, .n_layer = 1, .n_head = 1, .n_embd = 1024});
  file.attributes["weights"] = std::string("int4");
  file.attributes["packed_layout"] = packed_layout;
  Gpt shapes(model_config(file), test_device());
  size_t bytes = 0;
  shapes.parameters([&](const std::string& name, Parameter& p) {
    if (p.shape().rank() == 1 || name == "transformer.wpe.weight")
      file.tensors["model/" + name] = zeros(p.shape(), DType::f32);
  });
  shapes.weights([&](const std::string& name, Weight& weight) {
    const Shape& shape = weight.shape();
    Array data({shape[0] / 32, shape[1] / 32, 32 * 32 / 2 + 32 * 2}, DType::i8, test_device());
    backend(data)->memory.write(std::string(data.bytes(), '\0').data(), data);
    file.tensors["packed/" + name] = data;
    bytes += data.bytes();
  });
  MemoryUse before = test_backend()->memory.use();
  ASSERT_GT(bytes, 6'000'000u);
  auto model = load_quantized(file, test_device());
  EXPECT_LE(test_backend()->memory.use().live, before.live + 200'000);
  EXPECT_LE(test_backend()->memory.use().peak, std::max(before.peak, before.live + 200'000));
}

}  // namespace
}  // namespace folio
