#include "sample/chat.h"

#include <map>

#include "core/check.h"

namespace folio {
namespace {

struct SpecialToken {
  size_t begin, end;  // bytes of the text
  int32_t id;
};

// Finds special tokens, which a tokenizer tells by what it makes of their spelling.
class SpecialFinder {
 public:
  explicit SpecialFinder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // Those in what the template wrote, in order.
  std::vector<SpecialToken> find(const MarkedText& text) {
    std::vector<SpecialToken> found;
    for (size_t begin = 0, end; begin < text.size(); begin = end) {
      end = begin + 1;
      while (end < text.size() && text.is_written(end) == text.is_written(begin)) ++end;
      if (text.is_written(begin)) find_in(text.text().substr(begin, end - begin), begin, found);
    }
    return found;
  }

 private:
  void find_in(const std::string& written, size_t offset, std::vector<SpecialToken>& found) {
    size_t from = 0;
    for (int32_t id : tokenizer_.encode(written, SpecialTokens::allowed)) {
      const std::string& spelling = spelling_of(id);
      if (spelling.empty()) continue;
      const size_t at = written.find(spelling, from);
      check(at != written.npos, "chat: the tokenizer changes \"{}\" as it reads a text", spelling);
      from = at + spelling.size();
      found.push_back({offset + at, offset + from, id});
    }
  }

  // Of a special token; empty for any other.
  const std::string& spelling_of(int32_t id) {
    const auto [known, is_new] = spellings_.try_emplace(id);
    if (!is_new) return known->second;
    const std::string text = tokenizer_.decode({&id, 1});
    const std::vector<int32_t> itself{id};
    if (tokenizer_.encode(text, SpecialTokens::allowed) != itself ||
        tokenizer_.encode(text, SpecialTokens::as_text) == itself)
      return known->second;
    for (const char* beside : {"a", " "}) {
      std::vector<int32_t> apart = tokenizer_.encode(beside, SpecialTokens::as_text);
      const std::vector<int32_t> before = apart;
      apart.push_back(id);
      apart.insert(apart.end(), before.begin(), before.end());
      check(tokenizer_.encode(beside + text + beside, SpecialTokens::allowed) == apart,
            "chat: the token \"{}\" depends on the text beside it, which folio does not follow in "
            "a conversation",
            text);
    }
    return known->second = text;
  }

  const Tokenizer& tokenizer_;
  std::map<int32_t, std::string> spellings_;
};

JinjaTemplate template_of(const ChatFormat& format) {
  ChatTemplate text = default_template(format);
  return JinjaTemplate(text.source, std::move(text.where));
}

JinjaValue dict_of(const ChatMessage& message) {
  return JinjaValue::Dict(std::make_shared<const std::map<std::string, JinjaValue>>(
      std::map<std::string, JinjaValue>{{"role", MarkedText::written(message.role)},
                                        {"content", MarkedText::given(message.content)}}));
}

}  // namespace

std::vector<int32_t> encode_marked(const Tokenizer& tokenizer, const MarkedText& text) {
  SpecialFinder finder(tokenizer);
  std::vector<int32_t> ids;
  size_t from = 0;
  auto add_text = [&](size_t end) {
    const std::string_view piece = std::string_view(text.text()).substr(from, end - from);
    const std::vector<int32_t> more = tokenizer.encode(piece, SpecialTokens::as_text);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  for (const SpecialToken& token : finder.find(text)) {
    add_text(token.begin);
    ids.push_back(token.id);
    from = token.end;
  }
  add_text(text.size());
  return ids;
}

Chat::Chat(ChatFormat format, std::shared_ptr<const Tokenizer> tokenizer, const Settings& settings)
    : format_(std::move(format)),
      tokenizer_(std::move(tokenizer)),
      settings_(settings),
      template_(template_of(format_)) {
  // What it does not follow shows now, not in the middle of a conversation.
  const ChatMessage turns[] = {{"user", "x"}, {"assistant", "y"}, {"user", "z"}};
  tokens(std::span(turns).first(1));
  tokens(turns);
  const MarkedText answered = rendered(std::span(turns).first(2), /*begins_answer=*/false);
  size_t end = answered.size();
  while (end > 0 && answered.is_written(end - 1)) --end;
  const auto after = SpecialFinder(*tokenizer_).find(answered.bytes(end, answered.size()));
  if (!after.empty()) turn_ends_ = {after[0].id};
}

MarkedText Chat::rendered(std::span<const ChatMessage> messages, bool begins_answer) const {
  std::vector<JinjaValue> dicts;
  for (const ChatMessage& message : messages) dicts.push_back(dict_of(message));
  JinjaInput input{.variables = {{"messages", JinjaValue::list(std::move(dicts))},
                                 {"add_generation_prompt", begins_answer},
                                 {"tools", JinjaValue::None{}},
                                 {"documents", JinjaValue::None{}}},
                   .now = settings_.now};
  for (const auto& [name, text] : format_.tokens) {
    if (text)
      input.variables[name] = MarkedText::written(*text);
    else
      input.unknown[name] =
          "the template asks for it, and tokenizer_config.json does not say what it is";
  }
  if (settings_.thinking) input.variables["enable_thinking"] = *settings_.thinking;
  return template_.render(input);
}

std::vector<int32_t> Chat::tokens(std::span<const ChatMessage> messages) const {
  std::vector<int32_t> ids = encode_marked(*tokenizer_, rendered(messages, true));
  check(!ids.empty(), "{}: the template makes no text of this conversation", format_.where);
  return ids;
}

}  // namespace folio
