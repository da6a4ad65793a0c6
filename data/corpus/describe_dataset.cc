#include "data/corpus/describe_dataset.h"

#include <algorithm>

#include "core/check.h"
#include "core/process/progress_line.h"
#include "core/process/stop.h"
#include "core/text/numbers.h"
#include "data/dataset/meta.h"
#include "data/files/files.h"
#include "data/files/fingerprint.h"

namespace folio {
namespace {

// SHA-256 of the whole file, every id of which is looked at.
std::string digest_of(const TokenFile& file) {
  constexpr int64_t block = 1 << 22;  // tokens
  check(file.size() > 0, "{}: is empty", file.path());
  ProgressLine line("reading " + file.path(), int64_t(file.bytes().size()));
  Sha256 hash;
  for (int64_t begin = 0; begin < file.size(); begin += block) {
    throw_if_stopped();
    int64_t end = std::min(begin + block, file.size());
    file.check_ids(begin, end);
    hash.update(file.bytes(begin, end));
    line.update(int64_t(file.bytes(0, end).size()));
  }
  return hex(hash.digest());
}

}  // namespace

void describe_dataset(const std::string& directory, std::shared_ptr<const Tokenizer> tokenizer,
                      const Tell& tell) {
  TokenFile train(directory + "/train.bin", tokenizer->vocab_size());
  TokenFile val(directory + "/val.bin", tokenizer->vocab_size());
  Meta meta{.tokenizer = std::move(tokenizer),
            .train_tokens = train.size(),
            .val_tokens = val.size(),
            .source = train.path(),
            .train_sha256 = digest_of(train),
            .val_sha256 = digest_of(val),
            .train_fingerprint = hex(fingerprint(train.bytes())),
            .val_fingerprint = hex(fingerprint(val.bytes()))};
  tell(fmt::format("vocab size: {}\ntrain has {} tokens\nval has {} tokens\n",
                   with_commas(meta.tokenizer->vocab_size()), with_commas(meta.train_tokens),
                   with_commas(meta.val_tokens)));
  write_file(directory + "/meta.json", to_json(meta));
}

}  // namespace folio
