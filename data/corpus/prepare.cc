#include "data/corpus/prepare.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <optional>

#include "core/check.h"
#include "core/output.h"
#include "data/corpus/character_dataset.h"
#include "data/corpus/shakespeare.h"
#include "data/corpus/token_dataset.h"
#include "data/files.h"
#include "data/progress_line.h"
#include "data/replacement_file.h"
#include "data/tokenizer/find_tokenizer.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

void check_name(const std::string& name) {
  check(!name.empty(), "prepare needs a name for the dataset: --name=NAME");
  check(name != "." && name != ".." && name.find('/') == std::string::npos,
        "\"{}\" cannot name a dataset: it names a folder under --data_dir, so it must have no '/'",
        name);
}

void check_options(const PrepareOptions& options) {
  check_name(options.name);
  bool published = options.name == "shakespeare_char" || options.name == "shakespeare";
  check(!options.input.empty() || published,
        "dataset \"{}\" needs a text: --input=FILE (only shakespeare and shakespeare_char can be "
        "downloaded)",
        options.name);
  check(0 < options.val_fraction && options.val_fraction < 1,
        "val_fraction must be above 0 and below 1, got {}", options.val_fraction);
  check(options.input.empty() || options.input == "-" || fs::exists(options.input),
        "{}: No such file or folder", options.input);
}

// What a pipe gives, in a file that goes away: its length decides where it is split.
void spool_stdin(ReplacementFile& file, const std::string& path) {
  std::string buffer(1 << 20, '\0');
  for (;;) {
    ssize_t n = retry_on_signal([&] { return read(STDIN_FILENO, buffer.data(), buffer.size()); });
    if (n < 0) fail_errno("standard input", "read");
    if (n == 0) return;
    write_all(file.fd(), std::string_view(buffer).substr(0, size_t(n)), path);
  }
}

void make_folder(const std::string& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  check(!error, "{}: cannot make this folder: {}", directory, error.message());
}

}  // namespace

void prepare(const PrepareOptions& given) {
  PrepareOptions options = given;
  check_options(options);
  if (options.tokenizer.empty())
    options.tokenizer = options.name == "shakespeare" ? "gpt2" : "char";
  bool characters = options.tokenizer == "char";
  bool folder = fs::is_directory(options.input);
  check(!characters || !folder,
        "{}: a folder needs a tokenizer whose vocabulary is known before, like --tokenizer=gpt2",
        options.input);
  std::shared_ptr<const Tokenizer> tokenizer;
  if (!characters) tokenizer = find_tokenizer(options.tokenizer);

  std::string directory = options.data_dir + "/" + options.name;
  CorpusInput input{options.input, options.input, options.input};
  std::optional<ReplacementFile> spool;
  if (input.path.empty()) {
    make_folder(directory);
    input.path = input.name = published_text(directory);
    input.source = tiny_shakespeare().url;
  } else if (input.path == "-") {
    make_folder(directory);
    spool.emplace(directory + "/stdin.txt");
    spool_stdin(*spool, directory);
    input = {spool->temporary(), "standard input", "standard input"};
  }
  if (characters)
    write_character_dataset(input, options, directory);
  else
    write_token_dataset(input, options, tokenizer, directory);
  say("wrote train.bin, val.bin and meta.json to {}\n", directory);
  std::fflush(stdout);
}

}  // namespace folio
