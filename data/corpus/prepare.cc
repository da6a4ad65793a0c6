#include "data/corpus/prepare.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "core/check.h"
#include "core/process/progress_line.h"
#include "core/process/stop.h"
#include "data/corpus/character_dataset.h"
#include "data/corpus/describe_dataset.h"
#include "data/corpus/json_lines.h"
#include "data/corpus/left_out.h"
#include "data/corpus/shakespeare.h"
#include "data/corpus/text_chunks.h"
#include "data/corpus/token_dataset.h"
#include "data/files/files.h"
#include "data/files/replacement_file.h"
#include "data/tokenizer/find_tokenizer.h"
#include "data/tokenizer/training/train_bpe.h"

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
  check(0 < options.val_fraction && options.val_fraction < 1,
        "val_fraction must be above 0 and below 1, got {}", options.val_fraction);
  std::error_code error;
  bool there = fs::exists(options.input, error);
  check(options.input.empty() || options.input == "-" || there, "{}: {}", options.input,
        error ? error.message() : "No such file or folder");
  if (options.tokenizer == "bpe") {
    check(options.vocab_size >= least_bpe_vocab,
          "--tokenizer=bpe needs --vocab_size=N, at least {}: the bytes and <|endoftext|>{}",
          least_bpe_vocab, options.vocab_size ? fmt::format("; got {}", options.vocab_size) : "");
    check(options.min_frequency >= 1, "min_frequency must be at least 1, got {}",
          options.min_frequency);
  } else {
    check(options.vocab_size == 0,
          "vocab_size={} has no effect without --tokenizer=bpe, which trains a tokenizer of that "
          "size; leave it out",
          options.vocab_size);
    check(options.min_frequency == PrepareOptions().min_frequency,
          "min_frequency={} has no effect without --tokenizer=bpe; leave it out",
          options.min_frequency);
  }
}

void check_input(const PrepareOptions& options) {
  bool published = options.name == "shakespeare_char" || options.name == "shakespeare";
  check(!options.input.empty() || published,
        "dataset \"{}\" needs a text: --input=FILE (only shakespeare and shakespeare_char can be "
        "downloaded)",
        options.name);
}

// The folder of a dataset. What it makes of it goes again, where nothing came to be in it.
class DatasetFolder {
 public:
  explicit DatasetFolder(const fs::path& path) {
    std::error_code error;
    for (fs::path at = path; !at.empty() && !fs::exists(at, error); at = at.parent_path())
      made_.push_back(at);
    fs::create_directories(path, error);
    check(!error, "{}: cannot make this folder: {}", path.string(), error.message());
  }
  ~DatasetFolder() {
    for (const fs::path& folder : made_) rmdir(folder.c_str());
  }
  DatasetFolder(const DatasetFolder&) = delete;
  DatasetFolder& operator=(const DatasetFolder&) = delete;

 private:
  std::vector<fs::path> made_;  // the innermost first
};

// What a pipe gives, in a file that goes away: its length decides where it is split.
void spool_pipe(int fd, const std::string& name, const ReplacementFile& file) {
  constexpr int look_ms = 200;  // at whether to stop, while nothing comes
  std::string buffer(1 << 20, '\0');
  for (;;) {
    throw_if_stopped();
    pollfd waiting{fd, POLLIN, 0};
    if (poll(&waiting, 1, look_ms) == 0) continue;
    ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n == 0) return;
    if (n > 0)
      write_all(file.fd(), std::string_view(buffer).substr(0, size_t(n)), name);
    else if (errno != EINTR && errno != EAGAIN)
      fail_errno(name, "read");
  }
}

// The documents of JSON lines, one after the other, a line end behind each: what characters are
// taken from.
void spool_documents(const CorpusInput& input, const PrepareOptions& options,
                     const ReplacementFile& file) {
  LeftOut left_out("line", options.strict);
  int64_t bytes = int64_t(fs::file_size(input.path)), number = 0;
  TextChunks chunks(input.path, 0, bytes, size_t(1) << 20, last_line_end);
  ProgressLine progress("reading the text", bytes);
  while (auto chunk = chunks.next()) {
    std::string documents;
    for (std::string_view rest = chunk->text; !rest.empty();) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      ++number;
      if (is_blank(line)) continue;
      try {
        documents += document_of(line) + "\n";
      } catch (const Error& fault) {
        left_out.add(fmt::format("{}:{}", input.name, number), fault.what());
      }
    }
    write_all(file.fd(), documents, input.name);
    progress.update(chunk->offset + int64_t(chunk->text.size()));
  }
  if (left_out.count()) options.tell(left_out.in_words() + "\n");
}

// A corpus that is read more than once, wherever it comes from; what has to be kept for it is in
// `spool`.
CorpusInput readable_input(const PrepareOptions& options, const std::string& directory,
                           std::optional<ReplacementFile>& spool) {
  if (options.input.empty()) {
    std::string path = published_text(directory);
    return {path, path, tiny_shakespeare().url};
  }
  std::error_code none;
  bool pipe = options.input == "-";
  if (!pipe && (fs::is_regular_file(options.input, none) || fs::is_directory(options.input, none)))
    return {options.input, options.input, options.input};
  std::string name = pipe ? "standard input" : options.input;
  FileDescriptor file;
  if (!pipe) {
    // Not to wait for the writer here, where no request to stop is heard.
    file = FileDescriptor(open(options.input.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) fail_errno(options.input, "open");
  }
  spool.emplace(directory + "/stdin.txt");
  spool_pipe(pipe ? STDIN_FILENO : file.get(), name, *spool);
  return {spool->temporary(), name, name};
}

bool has_files_alone(const std::string& directory) {
  return fs::exists(directory + "/train.bin") && fs::exists(directory + "/val.bin") &&
         !fs::exists(directory + "/meta.json") && !fs::exists(directory + "/meta.pkl");
}

}  // namespace

void prepare(const PrepareOptions& given) {
  PrepareOptions options = given;
  check_options(options);
  if (options.tokenizer.empty())
    options.tokenizer = options.name == "shakespeare" ? "gpt2" : "char";
  bool characters = options.tokenizer == "char", trains = options.tokenizer == "bpe";
  std::error_code none;
  check(!characters || !fs::is_directory(options.input, none),
        "{}: a folder needs a tokenizer whose vocabulary is known before, like --tokenizer=gpt2",
        options.input);
  std::string directory = options.data_dir + "/" + options.name;
  bool described = options.input.empty() && !characters && !trains && has_files_alone(directory);
  if (!described) check_input(options);
  std::shared_ptr<const Tokenizer> tokenizer;
  if (!characters && !trains) tokenizer = find_tokenizer(options.tokenizer);
  if (described) {
    describe_dataset(directory, tokenizer, options.tell);
    options.tell(fmt::format("wrote meta.json to {}\n", directory));
    return;
  }
  DatasetFolder folder(directory);
  std::optional<ReplacementFile> spool, documents;
  CorpusInput input = readable_input(options, directory, spool);
  if (characters && is_json_lines(input.path)) {
    documents.emplace(directory + "/documents.txt");
    spool_documents(input, options, *documents);
    input.path = documents->temporary();
  }
  if (characters)
    write_character_dataset(input, options, directory);
  else
    write_token_dataset(input, options, tokenizer, directory);
  options.tell(fmt::format("wrote train.bin, val.bin{} and meta.json to {}\n",
                           trains ? ", tokenizer.json" : "", directory));
}

}  // namespace folio
