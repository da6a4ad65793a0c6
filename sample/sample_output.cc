#include "sample/sample_output.h"

#include "sample/logprobs.h"

namespace folio {

SampleOutput::SampleOutput(std::FILE* out, const Tokenizer& tokenizer, std::string prompt,
                           const SampleOptions& options)
    : out_(out),
      tokenizer_(tokenizer),
      prompt_(std::move(prompt)),
      separator_(options.num_samples > 1 ? "\n---------------\n" : "\n"),
      logprobs_(options.logprobs),
      pages_(size_t(options.num_samples), Page{{tokenizer, StopStrings(options.stop)}, {}}) {
  if (logprobs_ >= 0) {
    if (!prompt_.empty() && !prompt_.ends_with('\n')) prompt_ += '\n';
    prompt_ += probability_header(logprobs_);
    separator_.erase(0, 1);
  }
  print(prompt_);
}

bool SampleOutput::show(const Draw& draw) {
  TextStream& stream = pages_[draw.sample].text;
  std::string text = stream.push(draw.token);
  if (logprobs_ >= 0) {
    text = probability_row(tokenizer_, token_probabilities(draw.logits, draw.token, logprobs_));
  }
  add(draw.sample, text);
  return !stream.stopped();
}

void SampleOutput::end(size_t sample) {
  std::string rest = pages_[sample].text.finish();
  add(sample, (logprobs_ < 0 ? rest : "") + separator_);
  pages_[sample].ended = true;
  while (open_ < pages_.size() && pages_[open_].ended) {
    if (++open_ == pages_.size()) break;
    print(prompt_ + pages_[open_].waiting);
    pages_[open_].waiting.clear();
  }
}

void SampleOutput::add(size_t sample, const std::string& text) {
  if (sample == open_)
    print(text);
  else
    pages_[sample].waiting += text;
}

void SampleOutput::print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

}  // namespace folio
