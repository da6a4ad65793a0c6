#include "commands/train/training_sample.h"

#include "configs/sample_options.h"
#include "sample/generate.h"
#include "sample/start.h"
#include "sample/text_stream.h"

namespace folio {

std::string training_sample(Gpt& model, const Tokenizer& tokenizer, const EndTokens& ends,
                            int64_t tokens) {
  // Arrays are shared until the copy packs its matrices, and written by neither.
  Gpt copy(model.config(), model.context().device);
  std::map<std::string, Array> values;
  model.parameters([&](const std::string& name, Parameter& p) { values[name] = p.array(); });
  copy.parameters(
      [&](const std::string& name, Parameter& p) { p = Parameter::leaf(values.at(name)); });
  copy.pack(WeightFormat::f32);

  const Start start = start_of("", tokenizer);
  const SampleOptions defaults;
  const std::vector<std::vector<int32_t>> prompts{start.tokens};
  const Generated generated =
      generate(copy, prompts,
               {.max_new_tokens = tokens,
                .sampler = {.temperature = defaults.temperature, .top_k = defaults.top_k},
                .seed = uint64_t(defaults.seed),
                .past_block = past_block_named(defaults.past_block, model.config()),
                .batch_size = 1,
                .end_tokens = end_tokens(ends, tokenizer),
                .tokens = tokenizer.vocab_size()});
  TextStream text(tokenizer, {});
  std::string written;
  for (int32_t token : generated.samples[0].tokens) {
    if (token != tokenizer.end_of_text()) written += text.push(token);
  }
  return written + text.finish();
}

}  // namespace folio
