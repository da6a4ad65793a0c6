#include "checkpoint/export_tensors.h"

#include "checkpoint/tensor_names.h"

namespace folio {

std::vector<SafetensorsSource> gpt2_tensors(Gpt& model, int64_t rows) {
  std::vector<SafetensorsSource> tensors;
  model.parameters([&](const std::string& name, Parameter& parameter) {
    Array values = parameter.array();
    if (name == "transformer.wte.weight") values = values.slice(0, rows);
    bool conv1d = is_conv1d(name);
    Shape shape = values.shape();
    tensors.push_back({.name = name,
                       .dtype = DType::f32,
                       .shape = conv1d ? Shape{shape[1], shape[0]} : shape,
                       .make = [values, conv1d] {
                         return conv1d ? backend(values)->layout.transpose(values, 0, 1, DType::f32)
                                       : values;
                       }});
    bool missing_bias = !model.config().bias && name.ends_with(".weight") &&
                        !name.ends_with("wte.weight") && !name.ends_with("wpe.weight");
    if (!missing_bias) return;
    tensors.push_back({.name = name.substr(0, name.size() - 6) + "bias",
                       .dtype = DType::f32,
                       .shape = {shape[0]},
                       .make = [n = shape[0]] { return zeros({n}, DType::f32, cpu); }});
  });
  return tensors;
}

std::vector<SafetensorsSource> llama_tensors(Gpt& model, int64_t rows) {
  const PartRows parts_of = part_rows(model);
  std::vector<SafetensorsSource> tensors;
  model.parameters([&](const std::string& name, Parameter& parameter) {
    Array values = parameter.array();
    if (name == "transformer.wte.weight" || name == "lm_head.weight")
      values = values.slice(0, rows);
    auto found = parts_of.find(name);
    const std::vector<int64_t> heights =
        found == parts_of.end() ? std::vector{values.dim(0)} : found->second;
    int64_t begin = 0;
    for (size_t i = 0; i < heights.size(); ++i) {
      Array part = values.slice(begin, begin + heights[i]);
      begin += heights[i];
      tensors.push_back(
          {.name = llama_name(name, i), .dtype = DType::f32, .shape = part.shape(), .make = [part] {
             return part;
           }});
    }
  });
  return tensors;
}

PartRows part_rows(const Gpt& model) {
  PartRows rows;
  model.hidden_matrices([&](const std::string& name, const std::vector<int64_t>& heights) {
    rows[name] = rows[name.substr(0, name.size() - 6) + "bias"] = heights;
  });
  return rows;
}

}  // namespace folio
