#include "checkpoint/quantized_file.h"

#include <set>

#include "checkpoint/model_file.h"
#include "core/process/stop.h"

namespace folio {
namespace {

// The weight [N, K] called `name`.
PackedWeight take_weight(CheckpointFile& file, const std::string& name, const Shape& shape,
                         WeightFormat format, Device device) {
  std::string path = file.path.string();
  if (format == WeightFormat::bf16) {
    DType dtype = saved_parameter(file, name, shape).dtype();
    check(dtype == DType::bf16, "{}: tensor model/{} is {}, not bfloat16 as the file says", path,
          name, dtype);
    Array values = to(file.take("model/" + name), device);
    return backend(values)->packed.pack(values, format);
  }
  Array data = to(file.take("packed/" + name), device);
  try {
    return backend(data)->packed.from_data(data, shape[0], shape[1], format);
  } catch (const Error& error) {
    fail("{}: tensor packed/{}: {}", path, name, error.what());
  }
}

void check_layout(const CheckpointFile& file, WeightFormat format) {
  if (format == WeightFormat::bf16) return;
  int64_t layout = file.attribute<int64_t>("packed_layout");
  check(layout == packed_layout,
        "{}: its {} weights lie in layout {}, this folio reads layout {}; quantise the model that "
        "they were made from again",
        file.path.string(), format, layout, packed_layout);
}

}  // namespace

std::optional<WeightFormat> quantized_weights(const CheckpointFile& file) {
  if (!file.has("weights")) return {};
  const std::string& name = file.attribute<std::string>("weights");
  for (WeightFormat format : {WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4})
    if (name == name_of(format)) return format;
  fail("{}: its weights are \"{}\"; this folio reads bfloat16, int8 and int4", file.path.string(),
       name);
}

CheckpointFile quantize(Gpt& model, WeightFormat format,
                        const std::function<void(int64_t done)>& progress) {
  check(format != WeightFormat::f32, "quantize: to bfloat16, int8 or int4, not float32");
  CheckpointFile file;
  file.attributes["format"] = std::string("folio quantized model 1");
  file.attributes["weights"] = std::string(name_of(format));
  if (format != WeightFormat::bf16) file.attributes["packed_layout"] = packed_layout;
  put_config(file, model.config());
  int64_t done = 0;
  // A request to stop ends it within a matrix; nothing is written then.
  Interruptible here;
  model.weights([&](const std::string& name, Weight& weight) {
    throw_if_stopped();
    Array values = weight.dense.array();
    if (format == WeightFormat::bf16) {
      file.tensors["model/" + name] = backend(values)->elementwise.cast(values, DType::bf16);
    } else {
      file.tensors["packed/" + name] = backend(values)->packed.pack(values, format).data;
    }
    weight.dense = Parameter::leaf(Array::shape_only(values.shape(), values.dtype()));
    done += int64_t(values.bytes());
    if (progress) progress(done);
  });
  model.parameters([&](const std::string& name, Parameter& parameter) {
    if (parameter.defined()) file.tensors["model/" + name] = parameter.array();
  });
  return file;
}

std::unique_ptr<Gpt> load_quantized(const CheckpointFile& file, Device device) {
  CheckpointFile shared = file;
  return take_quantized(shared, device);
}

std::unique_ptr<Gpt> take_quantized(CheckpointFile& file, Device device) {
  WeightFormat format = quantized_weights(file).value();
  check_layout(file, format);
  GptConfig config = model_config(file);
  check_sizes(file, config);
  auto model = std::make_unique<Gpt>(config, device);
  std::set<std::string> matrices;
  model->weights([&](const std::string& name, Weight& weight) {
    weight.packed = take_weight(file, name, weight.shape(), format, device);
    check(backend(weight.packed.data)->reductions.all_finite(weight.packed),
          "{}: the {} weights of {} hold a scale or a number that is NaN or infinite, so the model "
          "computes nothing; quantise the model that they were made from again",
          file.path.string(), format, name);
    matrices.insert(name);
  });
  model->parameters([&](const std::string& name, Parameter& parameter) {
    if (matrices.contains(name)) return;
    parameter = take_parameter(file, name, parameter.shape(), device);
  });
  return model;
}

}  // namespace folio
