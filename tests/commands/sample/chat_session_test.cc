// Conversations over the cache, held to conversations that are read at once.
#include "commands/sample/chat_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>

#include "core/process/stop.h"
#include "tests/message.h"
#include "tests/sample/chat/chat_model.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ChatSessionTest : public testing::Test {
 protected:
  Chat chat_of(const std::string& name) {
    reference::write_chat_tokenizer(folder_.path(), reference::chat_template(name));
    tokenizer_ = load_tokenizer_files(folder_.path());
    return Chat(load_chat_format(folder_.path()), tokenizer_, {});
  }
  // What the model answers to the conversation so far when it is read at once, greedily.
  std::string answer(Gpt& model, const Chat& chat, const std::vector<ChatMessage>& messages,
                     const GenerateOptions& options) const {
    const std::vector<std::vector<int32_t>> prompts{chat.tokens(messages)};
    const Generated generated = generate(model, prompts, with_turn_ends(options, chat));
    TextStream text(*tokenizer_, {});
    std::string all;
    const std::vector<int32_t>& tokens = generated.samples[0].tokens;
    for (size_t i = prompts[0].size(); i < tokens.size(); ++i) all += text.push(tokens[i]);
    return all + text.finish();
  }
  static GenerateOptions greedy(int64_t max_new_tokens) {
    return {.max_new_tokens = max_new_tokens, .sampler = {.temperature = 0}, .batch_size = 1};
  }

  TemporaryFolder folder_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

const std::vector<std::string> said{"hi", "the abc <|im_end|>", " he\n", "<think>", "zzz", "q"};

TEST_F(ChatSessionTest, ATurnRunsItsOwnTokensAlone) {
  for (const char* name : {"ChatML", "ChatML with a default", "Llama 3", "not thinking"}) {
    SCOPED_TRACE(name);
    const Chat chat = chat_of(name);
    auto model = packed(chat_model(chat_config(2048), *tokenizer_));
    ChatSession session(*model, tokenizer_, greedy(11), {}, chat, "Be brief.");
    std::vector<ChatMessage> messages{{"system", "Be brief."}};
    for (const std::string& text : said) {
      messages.push_back({"user", text});
      const int64_t before = session.tokens_run(), all = std::ssize(chat.tokens(messages));
      std::string printed;
      const int64_t length = session.length();
      session.turn(text, [&](const std::string& piece) { printed += piece; });
      EXPECT_EQ(printed, answer(*model, chat, messages, greedy(11)));
      EXPECT_EQ(printed.size(), 11u);
      // Of the answer, the last token is not read before the next turn; thoughts that the template
      // takes out of an earlier turn are read again from there on.
      if (std::string(name) != "not thinking") {
        EXPECT_EQ(session.length(), all + 11);
        EXPECT_EQ(session.tokens_run() - before, all + 10 - (length > 0 ? length - 1 : 0));
      } else if (length > 0) {
        EXPECT_LT(session.tokens_run() - before, 100);
      }
      messages.push_back({"assistant", printed});
    }
    EXPECT_EQ(session.messages().size(), messages.size());
  }
}

// Whatever a model says, in every way that it can be run: as if each turn read all of it.
TEST_F(ChatSessionTest, AnswersAreThoseOfTheWholeConversation) {
  GptConfig endless = chat_config(2048);
  endless.attention_window = 50;
  for (const char* name : {"ChatML with tools", "thinking", "Llama 3, dated", "alternating"}) {
    const Chat chat = chat_of(name);
    for (const GptConfig& config : {chat_config(2048), endless}) {
      SCOPED_TRACE(fmt::format("{} window {}", name, config.attention_window));
      auto model = packed(chat_model(config, *tokenizer_, /*wild=*/true));
      for (bool kv_cache : {true, false}) {
        GenerateOptions options = greedy(15);
        options.kv_cache = kv_cache;
        options.past_block = past_block_named("auto", config);
        if (kv_cache) options.kv_cache_dtype = DType::i8;
        ChatSession session(*model, tokenizer_, options, {}, chat, "");
        std::vector<ChatMessage> messages;
        for (const std::string& text : said) {
          messages.push_back({"user", text});
          std::string printed;
          session.turn(text, [&](const std::string& piece) { printed += piece; });
          EXPECT_EQ(printed, answer(*model, chat, messages, options)) << text;
          messages.push_back({"assistant", printed});
        }
      }
    }
  }
}

TEST_F(ChatSessionTest, AnAnswerEndsWithItsTurn) {
  const Chat chat = chat_of("ChatML");
  auto model = packed(chat_model(chat_config(512), *tokenizer_));
  const std::string whole = answer(*model, chat, {{"user", "hi"}}, greedy(30));
  // The end of a turn is drawn where the sixth letter was: it has that letter's row, only more so.
  const int32_t letter = tokenizer_->encode(whole.substr(5, 1))[0];
  const size_t first = whole.find(whole[5]);
  GenerateOptions options = greedy(30);
  options.end_tokens = {letter};
  ChatSession session(*model, tokenizer_, options, {}, chat, "");
  std::string printed;
  session.turn("hi", [&](const std::string& piece) { printed += piece; });
  EXPECT_EQ(printed, whole.substr(0, first));
  EXPECT_EQ(with_turn_ends(options, chat).end_tokens,
            (std::vector<int32_t>{letter, reference::chat_id("<|im_end|>")}));
}

// The system message and the last turns stay in view, and it goes on and on.
TEST_F(ChatSessionTest, AConversationThatOutgrowsTheContextGoesOn) {
  const Chat chat = chat_of("ChatML");
  constexpr int64_t block_size = 160;
  auto model = packed(chat_model(chat_config(block_size), *tokenizer_));
  for (PastBlock past : {PastBlock::block, PastBlock::slide}) {
    GenerateOptions options = greedy(20);
    options.past_block = past;
    ChatSession session(*model, tokenizer_, options, {}, chat, "Be brief.");
    bool outgrown = false;
    for (int turn = 0; turn < 12; ++turn) {
      testing::internal::CaptureStderr();
      std::string printed;
      const std::string text = turn % 3 == 2 ? std::string(37, 'z') : "the abc";
      EXPECT_TRUE(session.turn(text, [&](const std::string& piece) { printed += piece; }));
      const std::string noted = testing::internal::GetCapturedStderr();
      EXPECT_EQ(printed.size(), 20u);
      if (past == PastBlock::slide) continue;
      outgrown |= !noted.empty();
      if (!noted.empty()) {
        EXPECT_THAT(noted, AllOf(HasSubstr("outgrows the model's context of 160 tokens"),
                                 HasSubstr("the system message and its last")));
      }
      EXPECT_LE(session.length(), block_size);
      // The answer is that to the system message and some of the last turns.
      const std::vector<ChatMessage>& all = session.messages();
      std::vector<std::string> possible;
      std::vector<int64_t> lengths;
      for (size_t first = 1; first + 1 < all.size(); first += 2) {
        std::vector<ChatMessage> view{all[0]};
        view.insert(view.end(), all.begin() + std::ptrdiff_t(first), all.end() - 1);
        lengths.push_back(std::ssize(chat.tokens(view)) + 20);
        if (lengths.back() <= block_size) possible.push_back(answer(*model, chat, view, options));
      }
      EXPECT_THAT(possible, testing::Contains(printed));
      EXPECT_THAT(lengths, testing::Contains(session.length()));
    }
    EXPECT_EQ(outgrown, past == PastBlock::block);
    // A turn that no window has room for.
    testing::internal::CaptureStderr();
    EXPECT_TRUE(session.turn(std::string(1000, 'z'), [](const std::string&) {}));
    const std::string noted = testing::internal::GetCapturedStderr();
    if (past == PastBlock::block) {
      EXPECT_THAT(noted, HasSubstr("exceed the model's context of 160: it sees the last of them"));
    }
  }
}

TEST_F(ChatSessionTest, PastBlockStopSaysThatThereIsNoRoom) {
  const Chat chat = chat_of("ChatML");
  auto model = packed(chat_model(chat_config(128), *tokenizer_));
  GenerateOptions options = greedy(20);
  options.past_block = PastBlock::stop;
  ChatSession session(*model, tokenizer_, options, {}, chat, "");
  EXPECT_TRUE(session.turn("hi", [](const std::string&) {}));
  const auto before = session.messages().size();
  EXPECT_THAT(message_of([&] { session.add(std::string(200, 'z')); }),
              AllOf(HasSubstr("exceed the model's context of 128"), HasSubstr("past_block=stop")));
  EXPECT_EQ(session.messages().size(), before);
  options.max_new_tokens = 1000;
  ChatSession longer(*model, tokenizer_, options, {}, chat, "");
  EXPECT_FALSE(longer.turn("hi", [](const std::string&) {}));
}

TEST_F(ChatSessionTest, ATurnThatTheTemplateRefusesIsNotSaid) {
  const Chat chat = chat_of("alternating");
  auto model = packed(chat_model(chat_config(128), *tokenizer_));
  ChatSession session(*model, tokenizer_, greedy(3), {}, chat, "");
  session.add("hi");  // and no answer
  EXPECT_THAT(message_of([&] { session.add("hi again"); }), HasSubstr("must alternate"));
  EXPECT_THAT(message_of([&] { session.add(""); }), HasSubstr("type something"));
  EXPECT_EQ(session.messages().size(), 1u);
}

// What was said until a stop is the answer that the conversation goes on from.
TEST_F(ChatSessionTest, AnAnswerThatWasStoppedIsPartOfTheConversation) {
  const Chat chat = chat_of("ChatML");
  auto model = packed(chat_model(chat_config(512), *tokenizer_));
  ChatSession session(*model, tokenizer_, greedy(20), {}, chat, "");
  std::string printed;
  EXPECT_THROW(session.turn("hi",
                            [&](const std::string& piece) {
                              printed += piece;
                              if (printed.size() == 4) request_stop(SIGINT);
                            }),
               Interrupted);
  forget_stop();
  EXPECT_EQ(session.messages().back().content, printed);
  std::vector<ChatMessage> messages = session.messages();
  messages.push_back({"user", "q"});
  std::string next;
  session.turn("q", [&](const std::string& piece) { next += piece; });
  EXPECT_EQ(next, answer(*model, chat, messages, greedy(20)));
}

}  // namespace
}  // namespace folio
