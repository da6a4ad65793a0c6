#include "inspect/inspection.h"

namespace folio {

Inspection inspect(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer, std::string source,
                   std::vector<int32_t> tokens, const RealStep& step) {
  check(tokens.size() >= 2,
        "inspect: the text has {} tokens, and needs two or more: one to read, "
        "and one to predict",
        tokens.size());
  const int64_t T = std::ssize(tokens), most = model.config().block_size;
  check(T <= most, "inspect: the text has {} tokens, but the model's block_size is {}", T, most);
  Inspection all;
  all.source = std::move(source);
  all.config = model.config();
  all.tokenizer = std::move(tokenizer);
  all.text = all.tokenizer->decode(tokens);
  all.captures = capture(model, tokens);
  all.fused_difference = fused_difference(model, all.captures);
  all.walk = forward_walk(all.config, all.captures);
  const int64_t known = std::min(all.tokenizer->vocab_size(), all.config.vocab_size);
  all.heads = head_scores(model, known);
  all.lens = logit_lens(model, all.captures, known);
  all.parts = contributions(model, all.captures, known);
  all.backward = backward_pass(model, tokens, step.step);
  all.step = step.words;
  return all;
}

}  // namespace folio
