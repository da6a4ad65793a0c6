#include "data/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <thread>

#include "core/check.h"
#include "data/files.h"
#include "data/mapped_file.h"
#include "data/replacement_file.h"
#include "data/sha256.h"

namespace folio {
namespace {

// What came so far, in PATH.part, which nobody else may fill at the same time.
class Part {
 public:
  explicit Part(std::string path)
      : path_(std::move(path)),
        file_(open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
    if (file_.get() < 0) fail_errno(path_, "create");
    if (flock(file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      fail("{}: another process is downloading this file; wait for it, or stop it", path_);
    struct stat status;
    if (fstat(file_.get(), &status) != 0) fail_errno(path_, "stat");
    check(status.st_nlink > 0, "{}: another process has just downloaded this file; start again",
          path_);
    size_ = status.st_size;
  }

  int64_t size() const { return size_; }
  std::string digest() const { return hex(sha256(MappedFile(path_).bytes())); }
  void append(std::string_view bytes) {
    write_all(file_.get(), bytes, path_);
    size_ += int64_t(bytes.size());
  }
  void clear() {
    if (ftruncate(file_.get(), 0) != 0) fail_errno(path_, "truncate");
    size_ = 0;
  }
  void remove() { unlink(path_.c_str()); }
  void become(const std::string& path) {
    if (fsync(file_.get()) != 0) fail_errno(path_, "sync");
    if (std::rename(path_.c_str(), path.c_str()) != 0) fail_errno(path, "replace");
    sync_directory_of(path);
  }

 private:
  std::string path_;
  FileDescriptor file_;
  int64_t size_ = 0;
};

// How one attempt ended.
struct Outcome {
  std::string trouble;   // empty: the whole file is there
  bool passing = false;  // worth another attempt
};

class Transfer {
 public:
  Transfer(const RemoteFile& file, const FetchOptions& options, Part& part)
      : file_(file), options_(options), part_(part), curl_(curl_easy_init()) {
    check(curl_ != nullptr, "libcurl cannot start");
  }

  // Asks for the bytes that `part` lacks.
  Outcome attempt() {
    configure();
    CURLcode code = curl_easy_perform(curl_.get());
    if (write_error_) std::rethrow_exception(write_error_);
    return judge(code);
  }

 private:
  template <class T>
  void set(CURLoption option, T value) {
    CURLcode code = curl_easy_setopt(curl_.get(), option, value);
    check(code == CURLE_OK, "{}: {}", file_.url, curl_easy_strerror(code));
  }

  void configure() {
    resumed_ = part_.size() > 0;
    set(CURLOPT_URL, file_.url.c_str());
    set(CURLOPT_USERAGENT, "folio");
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 10L);
    set(CURLOPT_FAILONERROR, 1L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, long(options_.connect_timeout.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, long(options_.stall_speed));
    set(CURLOPT_LOW_SPEED_TIME, long(options_.stall_timeout.count()));
    set(CURLOPT_RESUME_FROM_LARGE, curl_off_t(part_.size()));
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_WRITEFUNCTION, &Transfer::receive);
    set(CURLOPT_WRITEDATA, this);
  }

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
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
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
      return {fmt::format("the server answered HTTP {}", status),
              status == 408 || status == 429 || status >= 500};
    if (code != CURLE_OK) {
      bool hopeless = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT ||
                      code == CURLE_TOO_MANY_REDIRECTS;
      return {error_[0] ? error_ : curl_easy_strerror(code), !hopeless};
    }
    if (part_.size() < file_.bytes)
      return {fmt::format("only {} of {} bytes came", part_.size(), file_.bytes), true};
    return {};
  }

  struct Free {
    void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  };
  const RemoteFile& file_;
  const FetchOptions& options_;
  Part& part_;
  std::unique_ptr<CURL, Free> curl_;
  char error_[CURL_ERROR_SIZE] = "";
  bool resumed_ = false, too_long_ = false;
  std::exception_ptr write_error_;
};

// Fills `part` with as many attempts as it takes.
void complete(const RemoteFile& file, const FetchOptions& options, Part& part) {
  auto pause = options.backoff;
  for (int attempt = 1; part.size() < file.bytes; ++attempt, pause *= 2) {
    Outcome outcome = Transfer(file, options, part).attempt();
    if (outcome.trouble.empty()) return;
    check(outcome.passing, "cannot download {}: {}", file.url, outcome.trouble);
    check(attempt < options.attempts, "cannot download {}: {} (after {} attempts)", file.url,
          outcome.trouble, attempt);
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace

void fetch(const RemoteFile& file, const std::string& path, const FetchOptions& options) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  check(ready == CURLE_OK, "libcurl cannot start: {}", curl_easy_strerror(ready));

  Part part(path + ".part");
  if (part.size() > file.bytes) part.clear();
  bool resumed = part.size() > 0;
  complete(file, options, part);
  std::string digest = part.digest();
  if (digest != file.sha256 && resumed) {  // perhaps the old part was of another file
    part.clear();
    complete(file, options, part);
    digest = part.digest();
  }
  if (digest != file.sha256) {
    part.remove();
    fail("{} is not the file that folio knows: its SHA-256 is {}, expected {}", file.url, digest,
         file.sha256);
  }
  part.become(path);
}

}  // namespace folio
