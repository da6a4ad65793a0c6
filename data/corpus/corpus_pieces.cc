#include "data/corpus/corpus_pieces.h"

#include <algorithm>
#include <thread>

#include "core/check.h"
#include "core/process/stop.h"
#include "data/corpus/json_lines.h"
#include "data/text/utf8.h"

namespace folio {
namespace {

void check_utf8(const Piece& piece) {
  size_t valid = utf8_prefix(piece.chunk.text);
  if (valid == piece.chunk.text.size()) return;
  fail("{} is not UTF-8: byte 0x{:02x} at offset {} {}; convert it, e.g. with iconv",
       piece.stretch->name, static_cast<unsigned char>(piece.chunk.text[valid]),
       piece.chunk.offset + int64_t(valid), decode_utf8(piece.chunk.text, valid).fault);
}

}  // namespace

int threads_of(const PrepareOptions& options) {
  if (options.threads > 0) return int(options.threads);
  return std::max(1, int(std::thread::hardware_concurrency()));
}

std::optional<Piece> Pieces::next() {
  for (; at_ < corpus_.stretches.size(); ++at_, chunks_.reset()) {
    throw_if_stopped();
    const Stretch& stretch = corpus_.stretches[at_];
    if (!chunks_) start(stretch);
    auto chunk = chunks_->next();
    if (!chunk) continue;
    bool last = chunk->offset + int64_t(chunk->text.size()) == stretch.end;
    int64_t line = line_;
    if (lines_) line_ += std::ranges::count(chunk->text, '\n');
    return Piece{&stretch, std::move(*chunk), last, line};
  }
  return {};
}

void Pieces::start(const Stretch& stretch) {
  lines_ = is_json_lines(stretch.path);
  chunks_.emplace(stretch.path, stretch.begin, stretch.end, size_t(1) << 20,
                  lines_ ? Cut(last_line_end) : cut_);
  if (stretch.begin == 0) line_ = 1;  // else the stretch before it is the file's beginning
}

std::vector<LineFault> each_text(const Piece& piece,
                                 const std::function<void(std::string_view, bool)>& f) {
  std::vector<LineFault> faults;
  if (!is_json_lines(piece.stretch->path)) {
    check_utf8(piece);
    f(piece.chunk.text, piece.last);
    return faults;
  }
  std::string_view rest = piece.chunk.text;
  for (int64_t number = piece.line; !rest.empty(); ++number) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (is_blank(line)) continue;
    std::string document;
    try {
      document = document_of(line);
    } catch (const Error& fault) {
      faults.push_back({number, fault.what()});
      continue;
    }
    f(document, true);
  }
  return faults;
}

}  // namespace folio
