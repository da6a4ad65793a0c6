#include "data/download/download_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>
#include <optional>

#include "data/download/git_blob.h"
#include "data/download/hub_cache.h"
#include "data/files/files.h"
#include "data/files/sha256.h"
#include "tests/data/download/http_server.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf, testing::Contains, testing::Each, testing::HasSubstr, testing::Not;
using Reply = HttpServer::Reply;

const std::string commit = "607a30d783dfa663caf39e06633721c8d4cfcd7e";

// As `git hash-object` has them.
TEST(GitBlob, IsGitsName) {
  EXPECT_EQ(git_blob_sha1(""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(git_blob_sha1("hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
}

// A hub on the loopback. Small files are answered where they are asked for; large ones
// (.safetensors) by a redirect to another server, as the real hub does.
class Hub : public testing::Test {
 protected:
  Hub() {
    for (const char* name : variables) unsetenv(name);
    files = {{"config.json", "{\"n_layer\": 1}"},
             {"model.safetensors", std::string(50000, 'w')},
             {"vocab.json", "{}"},
             {"merges.txt", "#version: 0.2\n"}};
    storage.emplace([this](int i, const std::string& head) { return store(i, head); });
    hub.emplace([this](int, const std::string& head) { return answer(head); });
    setenv("HF_ENDPOINT", base(*hub).c_str(), 1);
    setenv("HF_HOME", (folder / "hf").c_str(), 1);
  }
  ~Hub() override {
    for (const char* name : variables) unsetenv(name);
  }
  static constexpr const char* variables[] = {"HF_HOME",   "HF_HUB_CACHE",   "HF_ENDPOINT",
                                              "HF_TOKEN",  "HF_HUB_OFFLINE", "http_proxy",
                                              "all_proxy", "ALL_PROXY",      "XDG_CACHE_HOME"};

  static std::string base(const HttpServer& server) {
    return server.url().substr(0, server.url().rfind('/'));
  }
  static std::string path_of(const std::string& head) {
    size_t start = head.find(' ') + 1;
    return head.substr(start, head.find(' ', start) - start);
  }
  static Reply status(int code, const std::string& headers = "", const std::string& body = "") {
    return {fmt::format("HTTP/1.1 {} Because\r\nContent-Length: {}\r\n{}\r\n{}", code, body.size(),
                        headers, body)};
  }

  Reply answer(const std::string& head) {
    std::string path = path_of(head), prefix = "/" + repository + "/resolve/main/";
    if (busy > 0 && busy--) return status(503);
    if (refusal) return status(refusal);
    if (!path.starts_with(prefix)) return status(404);
    std::string name = path.substr(prefix.size());
    auto found = files.find(name);
    if (found == files.end()) return status(404);
    const std::string& content = found->second;
    std::string common = fmt::format("X-Repo-Commit: {}\r\n", commit);
    if (name.ends_with(".safetensors")) {
      return status(302, common + fmt::format("X-Linked-Size: {}\r\nX-Linked-ETag: \"{}\"\r\n"
                                              "ETag: \"other\"\r\nLocation: {}/{}\r\n",
                                              content.size() + lie, hex(sha256(content)),
                                              base(*storage), name));
    }
    std::string etag = fmt::format("ETag: W/\"{}\"\r\n", git_blob_sha1(content));
    if (!head.starts_with("HEAD")) return status(200, common + etag, content);
    return {fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{}{}\r\n", content.size(), common,
                        etag)};
  }
  Reply store(int i, const std::string& head) {
    const std::string& content = files.at(path_of(head).substr(1));
    size_t from = 0;
    if (size_t range = head.find("Range: bytes="); range != head.npos)
      from = std::stoul(head.substr(range + 13));
    if (i == 0 && breaks) {  // a part, then the connection ends
      return {fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", content.size(),
                          content.substr(0, 20000))};
    }
    std::string body = damage ? std::string(content.size() - from, 'x') : content.substr(from);
    return status(from ? 206 : 200,
                  from ? fmt::format("Content-Range: bytes {}-{}/{}\r\n", from, content.size() - 1,
                                     content.size())
                       : "",
                  body);
  }

  std::string error(const std::string& name = "gpt2", int attempts = 2) {
    return error_of([&] { download_model(name, {.attempts = attempts, .backoff = {}}); });
  }
  // The names in the cache that are of no finished file.
  std::vector<std::string> half_files() {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
      std::string name = entry.path().filename();
      if (name.ends_with(".part") || name.ends_with(".tmp")) names.push_back(name);
    }
    return names;
  }

  TemporaryFolder folder;
  std::map<std::string, std::string> files;
  std::string repository = "openai-community/gpt2";
  int busy = 0, refusal = 0;
  size_t lie = 0;
  bool breaks = false, damage = false;
  std::optional<HttpServer> storage, hub;
};

TEST_F(Hub, BringsEveryFileIntoTheCacheInHuggingFacesLayout) {
  EXPECT_EQ(error(), "");
  fs::path root = folder / "hf/hub/models--openai-community--gpt2";
  fs::path snapshot = root / "snapshots" / commit;
  EXPECT_EQ(read_file(root / "refs/main"), commit);
  for (const auto& [name, content] : files) {
    EXPECT_EQ(read_file(snapshot / name), content) << name;
    bool large = name.ends_with(".safetensors");
    std::string digest = large ? hex(sha256(content)) : git_blob_sha1(content);
    EXPECT_EQ(fs::read_symlink(snapshot / name), "../../blobs/" + digest) << name;
  }
  EXPECT_FALSE(fs::exists(snapshot / "tokenizer.json"));
  EXPECT_EQ(downloaded_model("gpt2"), snapshot);
  EXPECT_EQ(downloaded_model("openai-community/gpt2"), snapshot);
  EXPECT_TRUE(half_files().empty());
}

TEST_F(Hub, WhatIsThereIsNotDownloadedAgain) {
  ASSERT_EQ(error(), "");
  size_t before = storage->requests().size();
  EXPECT_EQ(error(), "");
  EXPECT_EQ(storage->requests().size(), before);
}

TEST_F(Hub, ShardsAreThoseOfTheIndex) {
  files.erase("model.safetensors");
  files["a-1.safetensors"] = "one";
  files["a-2.safetensors"] = "two";
  files["model.safetensors.index.json"] =
      R"({"weight_map": {"x": "a-1.safetensors", "y": "a-2.safetensors", "z": "a-1.safetensors"}})";
  EXPECT_EQ(error(), "");
  EXPECT_EQ(read_file(downloaded_model("gpt2") / "a-2.safetensors"), "two");
  files["model.safetensors.index.json"] = R"({"weight_map": {"x": "../../../etc/passwd"}})";
  EXPECT_THAT(error(), HasSubstr("cannot name a shard"));
  files["model.safetensors.index.json"] = R"([1])";
  EXPECT_THAT(error(), HasSubstr("not the index"));
  files.erase("model.safetensors.index.json");
  EXPECT_THAT(error(), HasSubstr("neither model.safetensors nor"));
}

// All that such a model's folder may have, but no weights of another form.
TEST_F(Hub, ALlamaComesWithItsShardsTokenizerAndTemplate) {
  repository = "someone/Small-Llama";
  files = {{"config.json", R"({"model_type": "llama", "rope_theta": 100000})"},
           {"generation_config.json", R"({"eos_token_id": [1, 2]})"},
           {"model.safetensors.index.json",
            R"({"weight_map": {"x": "a-1.safetensors", "y": "a-2.safetensors"}})"},
           {"a-1.safetensors", "one"},
           {"a-2.safetensors", "two"},
           {"tokenizer.json", "{}"},
           {"tokenizer_config.json", "{}"},
           {"special_tokens_map.json", "{}"},
           {"chat_template.jinja", "{{ messages }}"}};
  const std::map<std::string, std::string> wanted = files;
  files["pytorch_model.bin"] = "other weights";
  EXPECT_EQ(error(repository), "");
  const fs::path snapshot = downloaded_model(repository);
  for (const auto& [name, content] : wanted) EXPECT_EQ(read_file(snapshot / name), content) << name;
  EXPECT_FALSE(fs::exists(snapshot / "pytorch_model.bin"));
}

TEST_F(Hub, AModelThatFolioCannotRunIsRefusedBeforeItsWeightsCome) {
  files["config.json"] = R"({"model_type": "qwen3_moe"})";
  EXPECT_THAT(error(), HasSubstr("config.json: \"model_type\" is \"qwen3_moe\"; folio computes"));
  EXPECT_TRUE(storage->requests().empty());
}

TEST_F(Hub, ABrokenConnectionIsResumed) {
  breaks = true;
  EXPECT_EQ(error(), "");
  ASSERT_EQ(storage->requests().size(), 2u);
  EXPECT_THAT(storage->requests()[1], HasSubstr("Range: bytes=20000-"));
}

TEST_F(Hub, OtherBytesAndOtherSizesAreRefused) {
  damage = true;
  EXPECT_THAT(error(), AllOf(HasSubstr("model.safetensors"), HasSubstr("SHA-256")));
  EXPECT_FALSE(cached_model("gpt2").has_value());
  damage = false;
  lie = 1;
  EXPECT_THAT(error(), HasSubstr("only 50000 of 50001 bytes"));
  EXPECT_FALSE(cached_model("gpt2").has_value());
  EXPECT_THAT(error_of([] { downloaded_model("gpt2"); }), HasSubstr("`folio download gpt2`"));
}

TEST_F(Hub, ABusyHubIsAskedAgain) {
  busy = 1;
  EXPECT_EQ(error(), "");
  busy = 1000;
  EXPECT_THAT(error(), AllOf(HasSubstr("HTTP 503"), HasSubstr("2 attempts")));
}

TEST_F(Hub, ARefusalSaysWhatToDo) {
  refusal = 401;
  EXPECT_THAT(error(),
              AllOf(HasSubstr("HTTP 401"), HasSubstr("set HF_TOKEN"), Not(HasSubstr("refused)"))));
  EXPECT_EQ(hub->requests().size(), 1u);
  setenv("HF_TOKEN", "hf_secret", 1);
  EXPECT_THAT(error(), AllOf(HasSubstr("it is set, and refused"), Not(HasSubstr("hf_secret"))));
  refusal = 0;
  EXPECT_THAT(error("someone/else"), HasSubstr("there is no config.json"));
  EXPECT_THAT(error("gpt3"), HasSubstr("gpt2-medium"));
  EXPECT_THAT(error("../gpt2"), HasSubstr("names no model"));
}

// The hub's own requests carry it; the server that it redirects to never sees it.
TEST_F(Hub, TheTokenStaysWithTheHub) {
  setenv("HF_TOKEN", "hf_secret", 1);
  EXPECT_EQ(error(), "");
  EXPECT_THAT(hub->requests(), Each(HasSubstr("Authorization: Bearer hf_secret\r\n")));
  EXPECT_FALSE(storage->requests().empty());
  EXPECT_THAT(storage->requests(), Each(Not(HasSubstr("hf_secret"))));
}

TEST_F(Hub, OfflineOnlyTheCacheIsLookedAt) {
  setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_THAT(error(), HasSubstr("HF_HUB_OFFLINE"));
  unsetenv("HF_HUB_OFFLINE");
  ASSERT_EQ(error(), "");
  size_t before = hub->requests().size();
  setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_EQ(download_model("gpt2"), downloaded_model("gpt2"));
  EXPECT_EQ(hub->requests().size(), before);
}

TEST_F(Hub, GoesThroughTheProxyOfTheEnvironment) {
  setenv("http_proxy", base(*hub).c_str(), 1);
  setenv("HF_ENDPOINT", "http://hub.invalid", 1);
  EXPECT_THAT(error(), HasSubstr("http://hub.invalid"));  // the fake hub is no proxy
  EXPECT_THAT(hub->requests(),
              Contains(HasSubstr("HEAD http://hub.invalid/openai-community/gpt2/")));
}

TEST_F(Hub, TheCacheIsWhereHuggingFacesIs) {
  setenv("HF_HUB_CACHE", "/a", 1);
  EXPECT_EQ(hub_cache(), "/a");
  unsetenv("HF_HUB_CACHE");
  setenv("HF_HOME", "/b", 1);
  EXPECT_EQ(hub_cache(), "/b/hub");
  unsetenv("HF_HOME");
  setenv("XDG_CACHE_HOME", "/c", 1);
  EXPECT_EQ(hub_cache(), "/c/huggingface/hub");
  unsetenv("XDG_CACHE_HOME");
  EXPECT_TRUE(hub_cache().string().ends_with("/.cache/huggingface/hub"));
}

TEST_F(Hub, AnEtagThatIsNoDigestIsRefused) {
  hub.emplace([&](int, const std::string&) { return status(200, "ETag: \"abc\"\r\n", "{}"); });
  setenv("HF_ENDPOINT", base(*hub).c_str(), 1);
  EXPECT_THAT(error(), HasSubstr("\"abc\" is neither"));
}

}  // namespace
}  // namespace folio
