#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace folio {

// One end of a TCP connection over which short texts go, each of a kind. Nothing waits: what cannot
// be sent yet is kept until `flush`.
class Link {
 public:
  struct Message {
    char kind;
    std::string text;
  };
  static constexpr size_t longest_text = 64 << 10;  // what is longer is cut

  explicit Link(int fd);  // takes it over
  ~Link();
  Link(Link&& other) noexcept;
  Link& operator=(Link&& other) noexcept;

  int fd() const { return fd_; }
  bool ended() const { return ended_; }  // the other side is gone, or says what no rank would

  void send(char kind, std::string_view text = "");
  void flush();
  bool has_unsent() const { return !unsent_.empty(); }
  std::vector<Message> receive();  // what has come

 private:
  int fd_;
  bool ended_ = false;
  std::string unsent_, received_;
};

}  // namespace folio
