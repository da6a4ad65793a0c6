#include "data/download/download.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <optional>

#include "core/process/stop.h"
#include "data/corpus/shakespeare.h"
#include "data/files/files.h"
#include "data/files/sha256.h"
#include "tests/data/download/http_server.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Reply = HttpServer::Reply;

class Download : public testing::Test {
 protected:
  Download() {
    for (int64_t i = 0; i < 100000; ++i) text_ += char(' ' + i * i % 90);
    for (const char* name : {"http_proxy", "all_proxy", "ALL_PROXY"}) unsetenv(name);
  }
  ~Download() override { unsetenv("http_proxy"); }

  void serve(HttpServer::Answer answer) { server_.emplace(std::move(answer)); }
  RemoteFile file() { return {server_->url(), int64_t(text_.size()), hex(sha256(text_))}; }
  // Fetches; the Error's message, "" if it went well.
  std::string fetch_text(FetchOptions options = {}) {
    options.backoff = {};
    return error_of([&] { fetch(file(), path_, options); });
  }
  bool there() { return std::filesystem::exists(path_); }

  static Reply status(int code, std::string body = "") {
    return {fmt::format("HTTP/1.1 {} Because\r\nContent-Length: {}\r\n\r\n{}", code, body.size(),
                        body)};
  }
  Reply whole() { return status(200, text_); }
  // The first `bytes` of the text under a head that promises all of it.
  Reply beginning(size_t bytes, bool stall = false) {
    return {fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", text_.size(),
                        text_.substr(0, bytes)),
            stall};
  }
  // What a "Range: bytes=N-" asks for.
  Reply rest(const std::string& head) {
    if (head.find("Range: bytes=") == head.npos) return status(400);
    size_t from = std::stoul(head.substr(head.find("Range: bytes=") + 13));
    return {
        fmt::format("HTTP/1.1 206 Partial\r\nContent-Length: {}\r\nContent-Range: bytes "
                    "{}-{}/{}\r\n\r\n{}",
                    text_.size() - from, from, text_.size() - 1, text_.size(), text_.substr(from))};
  }

  TemporaryFolder folder_;
  std::string text_, path_ = folder_ / "input.txt";
  std::optional<HttpServer> server_;
};

TEST_F(Download, WholeFile) {
  serve([&](int, auto&) { return whole(); });
  int64_t last = 0;
  FetchOptions options;
  options.progress = [&](int64_t done, int64_t total) {
    EXPECT_LE(last, done);
    EXPECT_EQ(total, 100000);
    last = done;
  };
  EXPECT_EQ(fetch_text(options), "");
  EXPECT_EQ(read_file(path_), text_);
  EXPECT_EQ(last, 100000);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".part"));
}

TEST_F(Download, ResumesABrokenConnection) {
  serve([&](int i, auto& head) { return i == 0 ? beginning(40000) : rest(head); });
  EXPECT_EQ(fetch_text(), "");
  EXPECT_EQ(read_file(path_), text_);
  auto requests = server_->requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_THAT(requests[0], Not(HasSubstr("Range:")));
  EXPECT_THAT(requests[1], HasSubstr("Range: bytes=40000-"));
}

TEST_F(Download, ResumesWhatAnEarlierRunLeft) {
  serve([&](int, auto& head) { return rest(head); });
  write_file(path_ + ".part", text_.substr(0, 99999));
  EXPECT_EQ(fetch_text(), "");
  EXPECT_EQ(read_file(path_), text_);
  EXPECT_THAT(server_->requests(), ElementsAre(HasSubstr("Range: bytes=99999-")));
}

TEST_F(Download, StartsAgainWhenTheEarlierPartIsOfAnotherFile) {
  serve([&](int i, auto& head) { return i == 0 ? rest(head) : whole(); });
  write_file(path_ + ".part", "something else");
  EXPECT_EQ(fetch_text(), "");
  EXPECT_EQ(read_file(path_), text_);
}

TEST_F(Download, StartsAgainWhenTheServerCannotResume) {
  for (int code : {200, 416}) {
    serve([&](int i, auto&) { return i == 0 && code == 416 ? status(416) : whole(); });
    write_file(path_ + ".part", text_.substr(0, 5000));
    EXPECT_EQ(fetch_text(), "");
    EXPECT_EQ(read_file(path_), text_);
    EXPECT_THAT(server_->requests(), ElementsAre(HasSubstr("Range:"), Not(HasSubstr("Range:"))));
  }
}

TEST_F(Download, TriesAgainWhenTheServerIsBusy) {
  serve([&](int i, auto&) { return i == 0 ? status(503, "busy") : whole(); });
  EXPECT_EQ(fetch_text(), "");
  EXPECT_EQ(read_file(path_), text_);
}

TEST_F(Download, GivesUpAfterSoManyAttempts) {
  serve([&](int, auto&) { return status(503); });
  EXPECT_THAT(fetch_text({.attempts = 3}),
              AllOf(HasSubstr(server_->url()), HasSubstr("HTTP 503"), HasSubstr("3 attempts")));
  EXPECT_EQ(server_->requests().size(), 3u);
  EXPECT_FALSE(there());
}

TEST_F(Download, DoesNotInsistOnAFileThatIsNotThere) {
  serve([&](int, auto&) { return status(404, text_); });
  EXPECT_THAT(fetch_text(), HasSubstr("HTTP 404"));
  EXPECT_EQ(server_->requests().size(), 1u);
  EXPECT_FALSE(there());
}

TEST_F(Download, FollowsRedirects) {
  serve([&](int i, auto&) -> Reply {
    if (i > 0) return whole();
    return {"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"};
  });
  EXPECT_EQ(fetch_text(), "");
  EXPECT_THAT(server_->requests(),
              ElementsAre(HasSubstr("GET /text"), HasSubstr("GET /elsewhere")));
}

TEST_F(Download, RejectsOtherBytes) {
  serve([&](int, auto&) { return status(200, std::string(text_.size(), 'x')); });
  EXPECT_THAT(fetch_text(), AllOf(HasSubstr(hex(sha256(text_))),
                                  HasSubstr(hex(sha256(std::string(text_.size(), 'x'))))));
  EXPECT_FALSE(there());
  EXPECT_FALSE(std::filesystem::exists(path_ + ".part"));
}

TEST_F(Download, RejectsALongerFile) {
  serve([&](int, auto&) { return status(200, text_ + "x"); });
  EXPECT_THAT(fetch_text(), HasSubstr("more than the 100000 bytes"));
  EXPECT_FALSE(there());
}

TEST_F(Download, RejectsAShorterFile) {
  serve([&](int i, auto&) { return i == 0 ? status(200, text_.substr(1)) : status(416); });
  EXPECT_THAT(fetch_text({.attempts = 1}), HasSubstr("only 99999 of 100000 bytes"));
  EXPECT_FALSE(there());
}

TEST_F(Download, GivesUpOnAServerThatStalls) {
  serve([&](int, auto&) { return beginning(10, /*stall=*/true); });
  FetchOptions options{.attempts = 1};
  options.stall_timeout = std::chrono::seconds(1);
  EXPECT_THAT(fetch_text(options), HasSubstr("too slow"));
  EXPECT_FALSE(there());
}

TEST_F(Download, GoesThroughTheProxyOfTheEnvironment) {
  serve([&](int, auto&) { return whole(); });
  setenv("http_proxy", server_->url().c_str(), 1);
  RemoteFile remote = file();
  remote.url = "http://text.invalid/input.txt";
  fetch(remote, path_);
  EXPECT_EQ(read_file(path_), text_);
  EXPECT_THAT(server_->requests(), ElementsAre(HasSubstr("GET http://text.invalid/input.txt")));
}

TEST_F(Download, LeavesTheOldFileWhereItFails) {
  serve([&](int, auto&) { return status(404); });
  write_file(path_, "old");
  EXPECT_NE(fetch_text(), "");
  EXPECT_EQ(read_file(path_), "old");
}

TEST_F(Download, OnlyOverHttp) {
  write_file(folder_ / "text", text_);
  RemoteFile local{"file://" + folder_ / "text", int64_t(text_.size()), hex(sha256(text_))};
  EXPECT_THAT(error_of([&] { fetch(local, path_, {.backoff = {}}); }),
              HasSubstr("cannot download"));
  EXPECT_FALSE(there());
}

TEST_F(Download, PublishedTextIsFetchedOnce) {
  serve([&](int, auto&) { return whole(); });
  EXPECT_EQ(published_text(folder_.path(), file()), path_);
  EXPECT_EQ(published_text(folder_.path(), file()), path_);
  EXPECT_EQ(server_->requests().size(), 1u);
  write_file(path_, "damaged");
  EXPECT_EQ(published_text(folder_.path(), file()), path_);
  EXPECT_EQ(read_file(path_), text_);
}

TEST_F(Download, PublishedTextThatCannotBeHadSaysWhatToDo) {
  serve([&](int, auto&) { return status(404); });
  EXPECT_THAT(error_of([&] { published_text(folder_.path(), file()); }),
              AllOf(HasSubstr("HTTP 404"), HasSubstr("--input=FILE")));
}

// What a request to stop makes of `run`: the signal that it ended with, 0 if it went on.
template <class F>
int stopped_by(F&& run) {
  int signal = 0;
  try {
    run();
  } catch (const Interrupted& interrupted) {
    signal = interrupted.signal;
  }
  forget_stop();
  return signal;
}

// However much has come by then, and while nothing more does.
TEST_F(Download, ThatIsStoppedGoesOnLater) {
  for (size_t bytes : {size_t(1), size_t(30000), size_t(99999)}) {
    serve([&](int request, const std::string& head) {
      return request == 0 ? beginning(bytes, true) : rest(head);
    });
    FetchOptions options;
    options.stall_timeout = std::chrono::hours(1);
    options.progress = [&](int64_t done, int64_t) {
      if (done == int64_t(bytes)) request_stop(15);
    };
    EXPECT_EQ(stopped_by([&] { fetch(file(), path_, options); }), 15) << bytes;
    EXPECT_FALSE(there());
    EXPECT_EQ(read_file(path_ + ".part"), text_.substr(0, bytes));
    EXPECT_EQ(fetch_text(), "");
    EXPECT_EQ(read_file(path_), text_);
    EXPECT_THAT(server_->requests().at(1), HasSubstr(fmt::format("Range: bytes={}-", bytes)));
    EXPECT_FALSE(std::filesystem::exists(path_ + ".part"));
    std::filesystem::remove(path_);
    server_.reset();
  }
}

TEST_F(Download, StopsBetweenAttemptsAndLeavesNoEmptyFile) {
  serve([&](int, auto&) {
    request_stop(2);
    return status(503);
  });
  FetchOptions options;
  options.backoff = std::chrono::hours(1);
  EXPECT_EQ(stopped_by([&] { fetch(file(), path_, options); }), 2);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".part"));
  EXPECT_EQ(stopped_by([&] { fetch_head(server_->url(), options); }), 2);
  EXPECT_EQ(server_->requests().size(), 2u);
}

TEST_F(Download, WithoutAByteLeavesNoFile) {
  serve([&](int, auto&) { return status(404); });
  EXPECT_THAT(fetch_text(), HasSubstr("404"));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".part"));
}

}  // namespace
}  // namespace folio
