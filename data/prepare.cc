#include "data/prepare.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <vector>

#include "core/check.h"
#include "data/files.h"
#include "data/mapped_file.h"
#include "data/meta.h"
#include "data/progress_line.h"
#include "data/replacement_file.h"
#include "data/shakespeare.h"
#include "data/tokenizer/char_tokenizer.h"
#include "data/utf8.h"

namespace folio {
namespace {

constexpr size_t progress_step = 1 << 20;  // bytes

// Calls f(code point) for all of the text, with a progress line if it is long.
template <class F>
void walk(const MappedFile& text, const std::string& path, std::string what, F&& f) {
  ProgressLine line(std::move(what), int64_t(text.bytes().size()));
  size_t next = progress_step;
  for_each_code_point(text.bytes(), path, [&](char32_t c, size_t at) {
    f(c);
    if (at < next) return;
    next = at + progress_step;
    line.update(int64_t(at));
  });
  line.update(int64_t(text.bytes().size()));
}

struct Survey {
  int64_t length = 0;  // code points
  CharTokenizer tokenizer;
};

Survey survey(const MappedFile& text, const std::string& path) {
  Survey survey;
  std::vector<char> seen(0x110000);
  walk(text, path, "reading the text", [&](char32_t c) {
    ++survey.length;
    seen[c] = 1;
  });
  check(survey.length >= 2,
        "{}: a text of {} character{} cannot be split into train and val; give a longer one", path,
        survey.length, survey.length == 1 ? "" : "s");
  std::u32string characters;
  for (size_t c = 0; c < seen.size(); ++c)
    if (seen[c]) characters += char32_t(c);
  check(int64_t(characters.size()) <= CharTokenizer::max_vocab_size,
        "{}: has {} different characters, but token files hold 16-bit ids, at most {}; give a text "
        "with fewer",
        path, characters.size(), CharTokenizer::max_vocab_size);
  survey.tokenizer = CharTokenizer(std::move(characters));
  return survey;
}

// A new split, under its own name once it is committed.
class TokenWriter {
 public:
  explicit TokenWriter(std::string path) : path_(std::move(path)), file_(path_) {}
  void add(int32_t id) {  // 16 bits, little-endian
    buffer_ += char(id & 0xff);
    buffer_ += char(id >> 8);
    if (buffer_.size() >= 1 << 16) flush();
  }
  void flush() {
    write_all(file_.fd(), buffer_, path_);
    buffer_.clear();
  }
  ReplacementFile& file() { return file_; }

 private:
  std::string path_, buffer_;
  ReplacementFile file_;
};

// All files are on the disk, or it is full, before the first takes its name.
void commit_all(std::initializer_list<ReplacementFile*> files, const std::string& directory) {
  for (ReplacementFile* file : files)
    if (fsync(file->fd()) != 0) fail_errno(directory, "write to the disk");
  for (ReplacementFile* file : files) file->commit();
  sync_directory_of(directory + "/meta.json");
}

void write_dataset(const MappedFile& text, const std::string& path, const CharTokenizer& tokenizer,
                   const Meta& meta, const std::string& directory) {
  TokenWriter train(directory + "/train.bin"), val(directory + "/val.bin");
  std::string description_path = directory + "/meta.json";
  ReplacementFile description(description_path);
  int64_t n = 0;
  walk(text, path, "writing tokens", [&](char32_t c) {
    int32_t id = tokenizer.id(c);
    check(id >= 0, "{}: changed while it was read; start again", path);
    (n++ < meta.train_tokens ? train : val).add(id);
  });
  check(n == meta.train_tokens + meta.val_tokens, "{}: changed while it was read; start again",
        path);
  train.flush();
  val.flush();
  write_all(description.fd(), to_json(meta), description_path);
  commit_all({&train.file(), &val.file(), &description}, directory);
}

void report(const Survey& survey, const Meta& meta, const std::string& directory) {
  std::string characters;
  for (char32_t c : survey.tokenizer.characters()) append_utf8(characters, c);
  fmt::print(
      "length of dataset in characters: {}\n"
      "all the unique characters: {}\n"
      "vocab size: {}\n"
      "train has {} tokens\n"
      "val has {} tokens\n"
      "wrote train.bin, val.bin and meta.json to {}\n",
      with_commas(survey.length), characters, with_commas(survey.tokenizer.vocab_size()),
      with_commas(meta.train_tokens), with_commas(meta.val_tokens), directory);
  std::fflush(stdout);
}

void check_name(const std::string& name) {
  check(!name.empty(), "prepare needs a name for the dataset: --name=NAME");
  check(name != "." && name != ".." && name.find('/') == std::string::npos,
        "\"{}\" cannot name a dataset: it names a folder under --data_dir, so it must have no '/'",
        name);
}

}  // namespace

void prepare(const PrepareOptions& options) {
  check_name(options.name);
  bool published = options.input.empty();
  check(!published || options.name == "shakespeare_char",
        "dataset \"{}\" needs a text: --input=FILE (only shakespeare_char can be downloaded)",
        options.name);
  std::string directory = options.data_dir + "/" + options.name;
  if (!published) check(!MappedFile(options.input).bytes().empty(), "{}: is empty", options.input);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  check(!error, "{}: cannot make this folder: {}", directory, error.message());

  std::string path = published ? published_text(directory) : options.input;
  MappedFile text(path);
  Survey found = survey(text, path);
  auto train_tokens = int64_t(double(found.length) * 0.9);
  Meta meta{std::make_shared<CharTokenizer>(found.tokenizer), train_tokens,
            found.length - train_tokens, published ? tiny_shakespeare().url : path};
  write_dataset(text, path, found.tokenizer, meta, directory);
  report(found, meta, directory);
}

}  // namespace folio
