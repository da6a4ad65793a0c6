#include "data/download/download_model.h"

#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/check.h"
#include "core/process/progress_line.h"
#include "data/download/hub_cache.h"
#include "data/files/files.h"
#include "data/hugging_face/layout_config.h"
#include "data/text/parse_json.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_offline() {
  std::string value = environment("HF_HUB_OFFLINE");
  for (char& c : value) c = char(std::toupper(static_cast<unsigned char>(c)));
  return value == "1" || value == "TRUE" || value == "YES" || value == "ON";
}

std::string endpoint() {
  std::string url = environment("HF_ENDPOINT");
  if (url.empty()) url = "https://huggingface.co";
  while (url.ends_with('/')) url.pop_back();
  check(url.starts_with("https://") || url.starts_with("http://"),
        "HF_ENDPOINT={}: should start with https://", url);
  return url;
}

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

// scheme://host:port
std::string origin(const std::string& url) {
  size_t host = url.find("://");
  return host == url.npos ? "" : url.substr(0, url.find('/', host + 3));
}

// What the hub says of one file.
struct Entry {
  RemoteFile file;
  std::string digest, commit;
};

class Download {
 public:
  Download(const std::string& name, FetchOptions options)
      : name_(name),
        repository_(hub_repository(name)),
        folder_(repository_folder(repository_)),
        options_(std::move(options)),
        endpoint_(endpoint()) {
    std::string token = environment("HF_TOKEN");
    check(token.find_first_of("\r\n") == token.npos, "HF_TOKEN holds the end of a line");
    if (!token.empty()) options_.authorization = "Authorization: Bearer " + token;
  }

  fs::path run() {
    get_required("config.json");
    load_layout_config(snapshot() / "config.json");  // what folio cannot run need not come
    if (!get("model.safetensors")) {
      check(get("model.safetensors.index.json"),
            "{} has neither model.safetensors nor model.safetensors.index.json at {}: folio reads "
            "no other weights of the hub",
            repository_, endpoint_);
      for (const std::string& shard : shards()) get_required(shard);
    }
    for (const char* file : {"vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
                             "special_tokens_map.json", "added_tokens.json",
                             "generation_config.json", "chat_template.jinja"})
      get(file);
    fs::create_directories(folder_ / "refs");
    write_file((folder_ / "refs" / "main").string(), commit_);
    return snapshot();
  }

 private:
  fs::path snapshot() const { return folder_ / "snapshots" / commit_; }

  void get_required(const std::string& file) {
    check(get(file), "{}: there is no {} at {}; folio needs one", repository_, file, endpoint_);
  }

  // False if the hub has no such file.
  bool get(const std::string& name) {
    std::optional<Entry> entry = look_up(name);
    if (!entry) return false;
    if (commit_.empty()) commit_ = entry->commit;
    check(entry->commit == commit_,
          "{} changed while it was downloaded (commit {} became {}); start again", repository_,
          commit_, entry->commit);
    fs::path blob = folder_ / "blobs" / entry->digest;
    fs::create_directories(blob.parent_path());
    if (!fs::exists(blob) || int64_t(fs::file_size(blob)) != entry->file.bytes) {
      ProgressLine line("downloading " + name, entry->file.bytes, 0);
      options_.progress = [&](int64_t done, int64_t) { line.update(done); };
      fetch(entry->file, blob.string(), options_);
    }
    link(name, entry->digest);
    return true;
  }

  // snapshots/COMMIT/NAME -> ../../blobs/DIGEST, at once or not at all.
  void link(const std::string& name, const std::string& digest) const {
    fs::create_directories(snapshot());
    fs::path link = snapshot() / name, temporary = snapshot() / (name + ".tmp");
    std::error_code error;
    fs::remove(temporary, error);
    fs::create_symlink(fs::path("../../blobs") / digest, temporary, error);
    check(!error, "{}: cannot link to the file downloaded: {}", link.string(), error.message());
    rename_file(temporary.string(), link.string());
  }

  std::optional<Entry> look_up(const std::string& name) {
    std::string url = fmt::format("{}/{}/resolve/main/{}", endpoint_, repository_, name);
    std::string first = url;
    Entry entry;
    for (int redirects = 0; redirects < 5; ++redirects) {
      RemoteHead head = fetch_head(url, options_);
      if (head.status == 404) return {};
      check(head.status != 401 && head.status != 403,
            "{}: the hub answered HTTP {}: there is no such model, or it is not open to all; check "
            "the name, and if you may read it set HF_TOKEN{}",
            first, head.status, options_.authorization.empty() ? "" : " (it is set, and refused)");
      auto header = [&](const char* key) { return head.headers[key]; };
      if (entry.commit.empty()) entry.commit = header("x-repo-commit");
      bool redirected = head.status >= 300 && head.status < 400;
      if (!redirected || !header("x-linked-etag").empty()) {
        check(redirected || head.status == 200, "{}: the hub answered HTTP {}", first, head.status);
        fill(entry, first, head);
        return entry;
      }
      std::string to = header("location");
      if (to.starts_with("/") && !to.starts_with("//")) to = origin(url) + to;
      check(origin(to) == origin(url),
            "{}: the hub sends folio on to {} without saying the file's digest (x-linked-etag)",
            first, to);
      url = to;
    }
    fail("{}: the hub redirects without end", first);
  }

  // Size and digest from the headers: those of large files stand in x-linked-..., and their etag is
  // the SHA-256; that of others is git's SHA-1.
  static void fill(Entry& entry, const std::string& url, RemoteHead& head) {
    auto either = [&](const char* linked, const char* plain) {
      return head.headers[linked].empty() ? head.headers[plain] : head.headers[linked];
    };
    std::string etag = either("x-linked-etag", "etag"),
                size = either("x-linked-size", "content-length");
    if (etag.starts_with("W/")) etag.erase(0, 2);
    std::erase(etag, '"');
    check(is_hex(etag, 64) || is_hex(etag, 40),
          "{}: the hub does not say what the file is: its etag \"{}\" is neither a SHA-256 nor a "
          "git SHA-1",
          url, etag);
    entry.digest = etag;
    entry.file.url = url;
    (etag.size() == 64 ? entry.file.sha256 : entry.file.git_sha1) = etag;
    auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), entry.file.bytes);
    check(error == std::errc() && end == size.data() + size.size() && entry.file.bytes >= 0,
          "{}: the hub does not say how long the file is (\"{}\")", url, size);
    if (!is_hex(entry.commit, 40)) entry.commit = "main";  // a mirror that does not tell
  }

  // The files that the index names.
  std::set<std::string> shards() const {
    std::string path = (snapshot() / "model.safetensors.index.json").string();
    std::set<std::string> names;
    auto index = parse_json<Json>(read_file(path), path);
    try {
      for (const Json& file : index.at("weight_map")) names.insert(file.get<std::string>());
    } catch (const Json::exception& e) {
      fail("{}: not the index of a model's shards: {}", path, e.what());
    }
    for (const std::string& name : names)
      check(!name.empty() && name.find_first_of("/\\?#%") == name.npos && name[0] != '.',
            "{}: \"{}\" cannot name a shard", path, name);
    return names;
  }

  std::string name_, repository_;
  fs::path folder_;
  FetchOptions options_;
  std::string endpoint_, commit_;
};

}  // namespace

fs::path download_model(const std::string& name, FetchOptions options) {
  hub_repository(name);  // is it a name?
  if (!is_offline()) return Download(name, std::move(options)).run();
  auto folder = cached_model(name);
  check(folder.has_value(), "{} is not in {}, and HF_HUB_OFFLINE forbids to download it", name,
        hub_cache().string());
  return *folder;
}

}  // namespace folio
