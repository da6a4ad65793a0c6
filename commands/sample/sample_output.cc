#include "commands/sample/sample_output.h"

#include "commands/sample/probability_table.h"

namespace folio {

SampleOutput::SampleOutput(Print print, const Tokenizer& tokenizer, std::string prompt,
                           const SampleOptions& options)
    : print_(std::move(print)),
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
  print_(prompt_);
}

bool SampleOutput::show(const Draw& draw) {
  TextStream& stream = pages_[draw.sample].text;
  std::string text = stream.push(draw.token);
  if (logprobs_ >= 0) {
    text = probability_row(tokenizer_, token_probabilities(draw.logits(), draw.token, logprobs_));
  }
  pages_[draw.sample].begun = true;
  add(draw.sample, text);
  return !stream.stopped();
}

void SampleOutput::end(size_t sample) {
  add(sample, rest(sample));
  pages_[sample].ended = true;
  while (open_ < pages_.size() && pages_[open_].ended) {
    if (++open_ == pages_.size()) break;
    print_(prompt_ + pages_[open_].waiting);
    pages_[open_].waiting.clear();
  }
}

void SampleOutput::break_off() {
  for (size_t sample = open_; sample < pages_.size(); ++sample) {
    Page& page = pages_[sample];
    if (!page.begun && sample != open_) continue;
    std::string before = sample == open_ ? "" : prompt_ + page.waiting;
    print_(before + (page.ended ? "" : rest(sample)));
  }
  open_ = pages_.size();
}

// What ends a sample.
std::string SampleOutput::rest(size_t sample) {
  std::string text = pages_[sample].text.finish();
  return (logprobs_ < 0 ? text : "") + separator_;
}

void SampleOutput::add(size_t sample, const std::string& text) {
  if (sample == open_)
    print_(text);
  else
    pages_[sample].waiting += text;
}

}  // namespace folio
