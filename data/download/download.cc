#include "data/download/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>
#include <thread>

#include "core/check.h"
#include "core/process/stop.h"
#include "data/download/certificates.h"
#include "data/download/git_blob.h"
#include "data/files/files.h"
#include "data/files/mapped_file.h"
#include "data/files/replacement_file.h"
#include "data/files/sha256.h"

namespace folio {
namespace {

// What came so far, in PATH.part, which nobody else may fill at the same time.
class Part {
 public:
  explicit Part(std::string path)
      : path_(std::move(path)), file_(open_file(path_, O_RDWR | O_CREAT | O_APPEND)) {
    int locked = retry_on_signal([&] { return flock(file_.get(), LOCK_EX | LOCK_NB); });
    if (locked != 0 && errno == EWOULDBLOCK)
      fail("{}: another process is downloading this file; wait for it, or stop it", path_);
    struct stat status;
    if (retry_on_signal([&] { return fstat(file_.get(), &status); }) != 0)
      fail_errno(path_, "stat");
    check(status.st_nlink > 0, "{}: another process has just downloaded this file; start again",
          path_);
    size_ = status.st_size;
  }
  ~Part() {
    if (size_ == 0 && !became_) remove();  // nothing to go on from
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  int64_t size() const { return size_; }
  std::string digest(const RemoteFile& file) const {
    MappedFile mapped(path_);
    return mapped.read([&](std::string_view bytes) {
      if (file.sha256.empty()) return git_blob_sha1(bytes);
      Sha256 hash;
      constexpr size_t block = 16 << 20;
      for (std::string_view rest = bytes; !rest.empty();) {
        throw_if_stopped();
        hash.update(rest.substr(0, block));
        rest.remove_prefix(std::min(rest.size(), block));
      }
      return hex(hash.digest());
    });
  }
  void append(std::string_view bytes) {
    write_all(file_.get(), bytes, path_);
    size_ += int64_t(bytes.size());
  }
  void clear() {
    if (retry_on_signal([&] { return ftruncate(file_.get(), 0); }) != 0)
      fail_errno(path_, "truncate");
    size_ = 0;
  }
  void remove() { unlink(path_.c_str()); }
  void become(const std::string& path) {
    if (retry_on_signal([&] { return fsync(file_.get()); }) != 0) fail_errno(path_, "sync");
    rename_file(path_, path);
    became_ = true;
    sync_directory_of(path);
  }

 private:
  std::string path_;
  FileDescriptor file_;
  int64_t size_ = 0;
  bool became_ = false;
};

// How one attempt ended.
struct Outcome {
  std::string trouble;   // empty: the whole file is there
  bool passing = false;  // worth another attempt
};

bool is_passing(long status) { return status == 408 || status == 429 || status >= 500; }

// One libcurl handle, and how long it waits for whom. A request to stop ends it with Interrupted.
class Curl {
 public:
  Curl(const std::string& url, const FetchOptions& options) : url_(url), curl_(curl_easy_init()) {
    check(curl_ != nullptr, "libcurl cannot start");
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_USERAGENT, "folio");
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_NOSIGNAL, 1L);
    if (const std::string file = find_certificates(); !file.empty())
      set(CURLOPT_CAINFO, file.c_str());
    set(CURLOPT_CONNECTTIMEOUT_MS, long(options.connect_timeout.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, long(options.stall_speed));
    set(CURLOPT_LOW_SPEED_TIME, long(options.stall_timeout.count()));
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &Curl::look);
    if (options.authorization.empty()) return;
    // libcurl keeps this header from any other host, port or protocol that it is redirected to.
    headers_.reset(curl_slist_append(nullptr, options.authorization.c_str()));
    check(headers_ != nullptr, "libcurl has no memory for a header");
    set(CURLOPT_HTTPHEADER, headers_.get());
  }

  template <class T>
  void set(CURLoption option, T value) {
    CURLcode code = curl_easy_setopt(curl_.get(), option, value);
    check(code == CURLE_OK, "{}: {}", url_, curl_easy_strerror(code));
  }
  CURLcode perform() {
    CURLcode code = curl_easy_perform(curl_.get());
    throw_if_stopped();
    return code;
  }
  long status() const {
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    return status;
  }
  std::string reason(CURLcode code) const { return error_[0] ? error_ : curl_easy_strerror(code); }

 private:
  struct Free {
    void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  // libcurl calls this about once a second, also while nothing comes; not 0 ends the transfer.
  static int look(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
    return stop_requested();
  }

  std::string url_;
  std::unique_ptr<curl_slist, Free> headers_;
  std::unique_ptr<CURL, Free> curl_;
  char error_[CURL_ERROR_SIZE] = "";
};

class Transfer {
 public:
  Transfer(const RemoteFile& file, const FetchOptions& options, Part& part)
      : file_(file), options_(options), part_(part), curl_(file.url, options) {}

  // Asks for the bytes that `part` lacks.
  Outcome attempt() {
    resumed_ = part_.size() > 0;
    curl_.set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_.set(CURLOPT_FOLLOWLOCATION, 1L);
    curl_.set(CURLOPT_MAXREDIRS, 10L);
    curl_.set(CURLOPT_FAILONERROR, 1L);
    curl_.set(CURLOPT_RESUME_FROM_LARGE, curl_off_t(part_.size()));
    curl_.set(CURLOPT_WRITEFUNCTION, &Transfer::receive);
    curl_.set(CURLOPT_WRITEDATA, this);
    CURLcode code = curl_.perform();
    if (write_error_) std::rethrow_exception(write_error_);
    return judge(code);
  }

 private:
  // No exception may cross libcurl, so the file's error waits until it has returned.
  static size_t receive(char* data, size_t, size_t bytes, void* self_) noexcept {
    auto* self = static_cast<Transfer*>(self_);
    self->too_long_ = self->part_.size() + int64_t(bytes) > self->file_.bytes;
    if (self->too_long_) return 0;
    try {
      self->part_.append({data, bytes});
      if (self->options_.progress) self->options_.progress(self->part_.size(), self->file_.bytes);
      return bytes;
    } catch (...) {
      self->write_error_ = std::current_exception();
      return 0;
    }
  }

  Outcome judge(CURLcode code) {
    long status = curl_.status();
    if (too_long_) {
      part_.remove();
      return {fmt::format("the server sends more than the {} bytes of this file", file_.bytes)};
    }
    // A server that cannot go on from here: start from the beginning.
    if (resumed_ && (code == CURLE_RANGE_ERROR || status == 416)) {
      part_.clear();
      return {"the server cannot resume", true};
    }
    if (code == CURLE_HTTP_RETURNED_ERROR)
      return {fmt::format("the server answered HTTP {}", status), is_passing(status)};
    if (code != CURLE_OK) {
      bool hopeless = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT ||
                      code == CURLE_TOO_MANY_REDIRECTS;
      return {curl_.reason(code), !hopeless};
    }
    if (part_.size() < file_.bytes)
      return {fmt::format("only {} of {} bytes came", part_.size(), file_.bytes), true};
    return {};
  }

  const RemoteFile& file_;
  const FetchOptions& options_;
  Part& part_;
  Curl curl_;
  bool resumed_ = false, too_long_ = false;
  std::exception_ptr write_error_;
};

void start_libcurl() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  check(ready == CURLE_OK, "libcurl cannot start: {}", curl_easy_strerror(ready));
}

// "Name: value\r\n" into `headers`; a status line starts the next answer (after a proxy's).
size_t receive_header(char* data, size_t, size_t bytes, void* headers_) noexcept {
  auto& headers = *static_cast<std::map<std::string, std::string>*>(headers_);
  std::string_view line(data, bytes);
  if (line.starts_with("HTTP/")) headers.clear();
  size_t colon = line.find(':');
  if (colon == line.npos) return bytes;
  std::string name(line.substr(0, colon));
  for (char& c : name) c = char(c >= 'A' && c <= 'Z' ? c + 32 : c);
  size_t first = line.find_first_not_of(" \t", colon + 1), last = line.find_last_not_of(" \t\r\n");
  bool empty = first == line.npos || last < first;
  headers[name] = empty ? "" : std::string(line.substr(first, last - first + 1));
  return bytes;
}

// Before another attempt. Throws Interrupted.
void wait_for(std::chrono::milliseconds pause) {
  constexpr std::chrono::milliseconds look{100};
  for (; pause.count() > 0; pause -= look) {
    throw_if_stopped();
    std::this_thread::sleep_for(std::min(pause, look));
  }
}

// Fills `part` with as many attempts as it takes.
void complete(const RemoteFile& file, const FetchOptions& options, Part& part) {
  auto pause = options.backoff;
  for (int attempt = 1; part.size() < file.bytes; ++attempt, pause *= 2) {
    Outcome outcome = Transfer(file, options, part).attempt();
    if (outcome.trouble.empty()) return;
    check(outcome.passing, "cannot download {}: {}", file.url, outcome.trouble);
    check(attempt < options.attempts, "cannot download {}: {} (after {} attempts)", file.url,
          outcome.trouble, attempt);
    wait_for(pause);
  }
}

}  // namespace

void fetch(const RemoteFile& file, const std::string& path, const FetchOptions& options) {
  start_libcurl();
  const std::string& expected = file.sha256.empty() ? file.git_sha1 : file.sha256;
  Part part(path + ".part");
  if (part.size() > file.bytes) part.clear();
  bool resumed = part.size() > 0;
  complete(file, options, part);
  std::string digest = part.digest(file);
  if (digest != expected && resumed) {  // perhaps the old part was of another file
    part.clear();
    complete(file, options, part);
    digest = part.digest(file);
  }
  if (digest != expected) {
    part.remove();
    fail("{} is not the file that folio knows: its {} is {}, expected {}", file.url,
         file.sha256.empty() ? "git SHA-1" : "SHA-256", digest, expected);
  }
  part.become(path);
}

RemoteHead fetch_head(const std::string& url, const FetchOptions& options) {
  start_libcurl();
  auto pause = options.backoff;
  for (int attempt = 1;; ++attempt, pause *= 2) {
    RemoteHead head;
    Curl curl(url, options);
    curl.set(CURLOPT_NOBODY, 1L);
    curl.set(CURLOPT_HEADERFUNCTION, &receive_header);
    curl.set(CURLOPT_HEADERDATA, &head.headers);
    CURLcode code = curl.perform();
    head.status = int(curl.status());
    bool hopeless = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT;
    if (code == CURLE_OK && !is_passing(head.status)) return head;
    check(attempt < options.attempts && !hopeless, "cannot reach {}: {} (after {} attempts)", url,
          code == CURLE_OK ? fmt::format("the server answered HTTP {}", head.status)
                           : curl.reason(code),
          attempt);
    wait_for(pause);
  }
}

}  // namespace folio
