#include "data/corpus/character_dataset.h"

#include <vector>

#include "core/check.h"
#include "core/process/progress_line.h"
#include "core/process/stop.h"
#include "core/text/numbers.h"
#include "data/corpus/dataset_writer.h"
#include "data/files/mapped_file.h"
#include "data/text/utf8.h"
#include "data/tokenizer/char_tokenizer.h"

namespace folio {
namespace {

constexpr size_t progress_step = 1 << 20;  // bytes, between two looks at whether to stop, too

// Calls f(code point) for all of the text, with a progress line if it is long. Throws Interrupted.
template <class F>
void walk(const MappedFile& text, const std::string& name, std::string what, F&& f) {
  throw_if_stopped();
  ProgressLine line(std::move(what), int64_t(text.bytes().size()));
  size_t next = progress_step;
  text.read([&](std::string_view bytes) {
    for_each_code_point(bytes, name, [&](char32_t c, size_t at) {
      f(c);
      if (at < next) return;
      throw_if_stopped();
      next = at + progress_step;
      line.update(int64_t(at));
    });
  });
  line.update(int64_t(text.bytes().size()));
}

struct Survey {
  int64_t length = 0;  // code points
  CharTokenizer tokenizer;
};

int64_t train_tokens(const Survey& survey, double val_fraction) {
  return int64_t(double(survey.length) * (1 - val_fraction));
}

Survey survey(const MappedFile& text, const std::string& name, double val_fraction) {
  Survey survey;
  std::vector<char> seen(0x110000);
  walk(text, name, "reading the text", [&](char32_t c) {
    ++survey.length;
    seen[c] = 1;
  });
  int64_t train = train_tokens(survey, val_fraction);
  check(
      0 < train && train < survey.length,
      "{}: a text of {} character{} cannot be split into train and val with val_fraction {}; give "
      "a longer one",
      name, survey.length, survey.length == 1 ? "" : "s", val_fraction);
  std::u32string characters;
  for (size_t c = 0; c < seen.size(); ++c)
    if (seen[c]) characters += char32_t(c);
  survey.tokenizer = CharTokenizer(std::move(characters));
  return survey;
}

std::string in_words(const Survey& survey, const DatasetWriter& writer) {
  std::string characters;
  for (char32_t c : survey.tokenizer.characters()) append_utf8(characters, c);
  return fmt::format(
      "length of dataset in characters: {}\n"
      "all the unique characters: {}\n"
      "vocab size: {}\n"
      "train has {} tokens\n"
      "val has {} tokens\n",
      with_commas(survey.length), characters, with_commas(survey.tokenizer.vocab_size()),
      with_commas(writer.tokens(Split::train)), with_commas(writer.tokens(Split::val)));
}

}  // namespace

void write_character_dataset(const CorpusInput& input, const PrepareOptions& options,
                             const std::string& directory) {
  const std::string& name = input.name;
  MappedFile text(input.path);
  check(!text.bytes().empty(), "{}: is empty", name);
  Survey found = survey(text, name, options.val_fraction);
  int64_t train = train_tokens(found, options.val_fraction);
  DatasetWriter writer(directory, found.tokenizer.vocab_size());
  int64_t n = 0;
  walk(text, name, "writing tokens", [&](char32_t c) {
    int32_t id = found.tokenizer.id(c);
    check(id >= 0, "{}: changed while it was read; start again", name);
    writer.add(n++ < train ? Split::train : Split::val, {&id, 1});
  });
  check(n == found.length, "{}: changed while it was read; start again", name);
  options.tell(in_words(found, writer));
  writer.commit(
      {.tokenizer = std::make_shared<CharTokenizer>(found.tokenizer), .source = input.source});
}

}  // namespace folio
