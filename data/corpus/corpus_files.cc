#include "data/corpus/corpus_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "core/process/progress_line.h"
#include "core/process/stop.h"
#include "data/corpus/json_lines.h"
#include "data/corpus/map_in_order.h"
#include "data/corpus/text_chunks.h"
#include "data/text/utf8.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

// One of the files that prepare writes to a dataset's folder, `output`.
bool is_output(const fs::path& path, const fs::path& output) {
  std::error_code none;
  if (!fs::equivalent(path.parent_path(), output, none)) return false;
  std::string name = path.filename().string();
  for (const char* written : {"train.bin", "val.bin", "meta.json", "tokenizer.json"})
    if (name.starts_with(written)) return true;
  return false;
}

// Everything below the folder that is not hidden, no folder, and not prepare's own.
std::vector<std::string> names_below(const std::string& folder, const std::string& output) {
  std::vector<std::string> names;
  for (fs::recursive_directory_iterator at(folder), end; at != end; ++at) {
    throw_if_stopped();
    std::error_code none;
    bool hidden = at->path().filename().string().starts_with('.');
    bool folder_itself = at->is_directory(none) && !at->is_symlink(none);
    if (folder_itself && hidden) at.disable_recursion_pending();
    if (hidden || folder_itself || is_output(at->path(), output)) continue;
    names.push_back(at->path().string());
  }
  std::ranges::sort(names);
  return names;
}

// Tells files apart whatever their names.
using Identity = std::pair<dev_t, ino_t>;

// Why the file's content is no text; empty if it is.
std::string fault_of(const CorpusFile& file) {
  if (is_json_lines(file.path)) return "";
  TextChunks chunks(file.path, 0, file.bytes, 1 << 20, last_character_start);
  while (auto chunk = chunks.next()) {
    std::string_view text = chunk->text;
    size_t zero = text.find('\0'), valid = utf8_prefix(text);
    if (valid < text.size())
      return fmt::format("not UTF-8 (byte 0x{:02x} at offset {} {})",
                         static_cast<unsigned char>(text[valid]), chunk->offset + int64_t(valid),
                         decode_utf8(text, valid).fault);
    if (zero != text.npos)
      return fmt::format("not text (a NUL byte at offset {})", chunk->offset + int64_t(zero));
  }
  return "";
}

std::vector<CorpusFile> without_faults(std::vector<CorpusFile> files, int threads,
                                       LeftOut& left_out) {
  std::vector<CorpusFile> texts;
  int64_t total = 0, done = 0;
  for (const CorpusFile& file : files) total += file.bytes;
  ProgressLine line("reading the files", total);
  size_t at = 0;
  struct Seen {
    CorpusFile file;
    std::string fault;
  };
  map_in_order(
      threads,
      [&]() -> std::optional<CorpusFile> {
        throw_if_stopped();
        if (at == files.size()) return {};
        return std::move(files[at++]);
      },
      [](CorpusFile&& file) {
        std::string fault = fault_of(file);
        return Seen{std::move(file), std::move(fault)};
      },
      [&](Seen&& seen) {
        line.update(done += seen.file.bytes);
        if (seen.fault.empty())
          texts.push_back(std::move(seen.file));
        else
          left_out.add(seen.file.path, seen.fault);
      });
  return texts;
}

}  // namespace

std::vector<CorpusFile> texts_below(const std::string& folder, const std::string& output,
                                    int threads, LeftOut& left_out) {
  std::vector<CorpusFile> files;
  std::map<Identity, std::string> known;
  for (const std::string& path : names_below(folder, output)) {
    struct stat status;
    if (stat(path.c_str(), &status) != 0) {
      if (errno != ENOENT && errno != ELOOP) fail_errno(path, "look at");
      left_out.add(path, "a link that leads nowhere");
    } else if (S_ISDIR(status.st_mode)) {
      left_out.add(path, "a link to a folder, which is not followed");
    } else if (!S_ISREG(status.st_mode)) {
      left_out.add(path, "no regular file");
    } else if (status.st_size > 0) {
      auto [other, added] = known.emplace(Identity{status.st_dev, status.st_ino}, path);
      if (added)
        files.push_back({path, int64_t(status.st_size)});
      else
        left_out.add(path, "the same file as " + other->second);
    }
  }
  return without_faults(std::move(files), threads, left_out);
}

}  // namespace folio
