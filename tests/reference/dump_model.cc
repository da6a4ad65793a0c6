// dump_model MODEL TOKENS OUT: what folio makes of a model, for check_transformers.py to compare.
// MODEL is anything that open_model opens. TOKENS, JSON: {"ids": [[...]] of equal lengths,
// "prompts":
// [[...]], "max_new_tokens": N}. OUT becomes a safetensors file with "logits" [B, T, V] of the ids,
// "loss" [1] of predicting each from those before it, "grad.NAME" of that loss, as folio lays
// parameters out, and "streams" [prompts, N], greedy, as numbers in f32.
#include <nlohmann/json.hpp>

#include "checkpoint/open_model.h"
#include "data/files/files.h"
#include "data/safetensors/safetensors.h"
#include "sample/generate.h"

namespace folio {
namespace {

using Rows = std::vector<std::vector<int32_t>>;
using Tensors = std::map<std::string, Array>;

// Columns [begin, end) of `rows`.
Array columns(const Rows& rows, int64_t begin, int64_t end) {
  std::vector<int32_t> ids;
  for (const auto& row : rows) ids.insert(ids.end(), row.begin() + begin, row.begin() + end);
  return to_array(ids, {std::ssize(rows), end - begin}, cpu);
}

void add_training(Tensors& out, Gpt& model, const Rows& ids) {
  int64_t T = std::ssize(ids.at(0));
  {
    NoGrad no_grad;
    out["logits"] = model(columns(ids, 0, T)).array();
  }
  Tensor loss = model.loss(columns(ids, 0, T - 1), columns(ids, 1, T));
  loss.backward();
  out["loss"] = loss.array().reshape({1});
  model.parameters([&](const std::string& name, Parameter& p) { out["grad." + name] = p.grad(); });
}

void add_streams(Tensors& out, Gpt& model, const Rows& prompts, int64_t max_new_tokens) {
  model.pack(WeightFormat::f32);
  std::vector<float> tokens;
  for (const Sample& sample :
       generate(model, prompts, {.max_new_tokens = max_new_tokens, .sampler = {.temperature = 0}})
           .samples)
    tokens.insert(tokens.end(), sample.tokens.end() - max_new_tokens, sample.tokens.end());
  out["streams"] = to_array(tokens, {std::ssize(prompts), max_new_tokens}, cpu);
}

void dump(const std::string& from, const std::string& tokens, const std::string& to) {
  nlohmann::json asked = nlohmann::json::parse(read_file(tokens));
  OpenedModel opened = open_model(from, "", cpu);
  Tensors out;
  add_training(out, *opened.model, asked.at("ids").get<Rows>());
  if (Rows prompts = asked.at("prompts").get<Rows>(); !prompts.empty())
    add_streams(out, *opened.model, prompts, asked.at("max_new_tokens").get<int64_t>());
  std::vector<SafetensorsSource> sources;
  for (const auto& [name, array] : out)
    sources.push_back({name, array.dtype(), array.shape(), [array = array] { return array; }});
  write_safetensors(to, sources, {});
}

}  // namespace
}  // namespace folio

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: dump_model MODEL TOKENS OUT\n");
    return 2;
  }
  try {
    folio::dump(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "dump_model: {}\n", error.what());
    return 1;
  }
}
