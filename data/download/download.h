#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace folio {

// A published file, known by its size and SHA-256 or, where that is empty, by the SHA-1 that git
// gives its blob (both lower-case hex).
struct RemoteFile {
  std::string url;
  int64_t bytes = 0;
  std::string sha256;
  std::string git_sha1 = {};
};

struct FetchOptions {
  int attempts = 4;
  std::chrono::milliseconds backoff{1000};  // before the second attempt; then doubled
  std::chrono::milliseconds connect_timeout{15000};
  std::chrono::seconds stall_timeout{20};  // with under `stall_speed` bytes/s on average
  int64_t stall_speed = 1000;
  std::function<void(int64_t done, int64_t total)> progress = {};  // bytes
  // "Authorization: Bearer ...", sent to the url's own host and port and to no other.
  std::string authorization = {};
};

// Downloads `file` to `path`, where it appears only when its size and SHA-256 are right. What has
// come so far is kept in PATH.part, and the next attempt, also of a later call, goes on from there.
// Connections that fail, break or stall and the server's passing troubles (408, 429, 5xx) are tried
// again. http_proxy, https_proxy, all_proxy and no_proxy are honoured. Throws Error otherwise. A
// request to stop (core/process/stop.h) ends it within about a second with Interrupted; what
// came is kept.
void fetch(const RemoteFile& file, const std::string& path, const FetchOptions& options = {});

struct RemoteHead {
  int status = 0;
  std::map<std::string, std::string> headers;  // of lower-case names
};

// The answer to a HEAD request, with no redirect followed. Passing troubles are tried again, as in
// fetch; any other status is the caller's to judge. Throws Error if none comes.
RemoteHead fetch_head(const std::string& url, const FetchOptions& options = {});

}  // namespace folio
