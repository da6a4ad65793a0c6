// `folio sample --chat` and end tokens, from the files of a model to what is printed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>

#include "checkpoint/open_model.h"
#include "commands/export_command.h"
#include "commands/quantize_command.h"
#include "commands/sample/sample_command.h"
#include "sample/chat.h"
#include "sample/generate.h"
#include "tests/command.h"
#include "tests/sample/chat/chat_model.h"

namespace folio {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class ChatCommand : public testing::Test {
 protected:
  // A model whose template is one of chat.json's.
  std::string model(const std::string& name, const EndTokens& ends = {}) {
    const std::string folder = folder_ / "model";
    write_chat_model(folder, name.empty() ? json() : json(reference::chat_template(name)),
                     chat_config(512), {.ends = ends});
    return folder;
  }
  static std::string sample(const std::string& from, std::vector<std::string> args) {
    args.push_back("--init_from=" + from);
    args.push_back("--device=" + name_of(test_device()));
    args.push_back("--temperature=0");
    return output_of(sample_command, std::move(args));
  }
  static json read_json(const std::string& path) { return json::parse(read_file(path)); }
  // What the program prints on standard output for these lines.
  static std::string typed(const std::string& from, const std::string& lines,
                           const std::string& options) {
    const TemporaryFolder files;
    write_file(files / "in", lines);
    const std::string command =
        fmt::format("{} sample --chat --interactive --init_from={} --temperature=0 {} <{} 2>{}",
                    folio_program(), from, options, files / "in", files / "err");
    FILE* out = popen(command.c_str(), "r");
    std::string text;
    char buffer[4096];
    for (size_t count; (count = fread(buffer, 1, sizeof buffer, out)) > 0;)
      text.append(buffer, count);
    EXPECT_EQ(pclose(out), 0) << read_file(files / "err");
    return text;
  }

  TemporaryFolder folder_;
};

TEST_F(ChatCommand, TheStartIsAMessageAndTheAnswerIsPrinted) {
  for (const char* name : {"ChatML with a default", "Llama 3", "not thinking"}) {
    const std::string from = model(name);
    OpenedModel opened = open_model(from, "", test_device(), Purpose::inference);
    pack(opened, WeightFormat::f32);
    Chat::Settings settings;
    if (std::string(name) == "not thinking") settings.thinking = false;
    const Chat chat(opened.format.chat, opened.tokenizer, settings);
    const std::vector<ChatMessage> messages{{"system", "Be brief."}, {"user", "the<|im_end|>"}};
    const std::vector<std::vector<int32_t>> prompts{chat.tokens(messages)};
    const Generated generated =
        generate(*opened.model, prompts, {.max_new_tokens = 9, .sampler = {.temperature = 0}});
    const std::vector<int32_t>& all = generated.samples[0].tokens;
    const std::string answer = opened.tokenizer->decode(std::span(all).subspan(prompts[0].size()));
    const std::string thinking = settings.thinking ? "--thinking=off" : "--thinking=";
    EXPECT_EQ(sample(from, {"--chat", "--start=the<|im_end|>", "--system=Be brief.", thinking,
                            "--max_new_tokens=9"}),
              answer + "\n");
    write_file(folder_ / "system", "Be brief.");
    EXPECT_EQ(sample(from, {"--chat", "--start=the<|im_end|>", "--num_samples=2", thinking,
                            "--system=FILE:" + (folder_ / "system"), "--max_new_tokens=9"}),
              answer + "\n---------------\n" + answer + "\n---------------\n");
  }
}

TEST_F(ChatCommand, LinesFromAPipeAreAnsweredOneByOne) {
  const std::string from = model("ChatML");
  const std::string options = "--max_new_tokens=6 --device=cpu --system=Hi";
  const std::string one = typed(from, "hi\n", options);
  EXPECT_EQ(one.size(), 7u);
  EXPECT_TRUE(one.ends_with("\n"));
  const std::string two = typed(from, "hi\nthe \\\nabc\n/exit\nmore\n", options);
  EXPECT_EQ(two.size(), 14u);
  EXPECT_TRUE(two.starts_with(one));
  EXPECT_EQ(typed(from, "the \\\nabc\n", options + " --start=hi"), two);
  EXPECT_NE(typed(from, "hi\nthe abc\n", options), two);
  EXPECT_EQ(typed(from, "\nhi\n", options), one);  // nothing was said
}

TEST_F(ChatCommand, WhatContradictsAConversationIsRefused) {
  const std::string from = model("ChatML");
  auto refused = [&](std::vector<std::string> args) { return sample(from, std::move(args)); };
  EXPECT_THAT(refused({"--chat"}), HasSubstr("--chat: there is nothing to answer"));
  EXPECT_THAT(refused({"--start=a", "--system=b"}), HasSubstr("system: is for conversations"));
  EXPECT_THAT(refused({"--start=a", "--thinking=on"}), HasSubstr("thinking: is for conversations"));
  EXPECT_THAT(refused({"--chat", "--start=a", "--ignore_eos"}),
              HasSubstr("ignore_eos: --chat ends"));
  EXPECT_THAT(refused({"--chat", "--interactive", "--num_samples=2"}),
              HasSubstr("num_samples: --interactive continues one text"));
  EXPECT_THAT(refused({"--chat", "--interactive", "--logprobs=2"}), HasSubstr("logprobs: --inter"));
  EXPECT_THAT(refused({"--chat", "--start=a", "--thinking=maybe"}), HasSubstr("thinking"));
  EXPECT_THAT(sample(model(""), {"--chat", "--start=a"}),
              HasSubstr("tokenizer_config.json: \"chat_template\": there is none"));
  write_file(folder_ / "model/chat_template.jinja", "{{ messages | tojson }}");
  EXPECT_THAT(sample(folder_ / "model", {"--chat", "--start=a"}),
              HasSubstr("chat_template.jinja, line 1: folio does not follow the filter tojson"));
  EXPECT_THAT(sample(folder_ / "model", {"--start=a", "--max_new_tokens=2"}),
              testing::StartsWith("a"));
}

// A text ends at each of the end tokens, whatever else is in its batch, and goes on where asked to.
TEST_F(ChatCommand, EveryEndTokenEndsASample) {
  const std::vector<std::string> args{"--start=he", "--num_samples=12", "--max_new_tokens=40",
                                      "--temperature=1.5", "--top_k=0"};
  auto samples = [&](const std::string& from, const std::string& option) {
    std::vector<std::string> all = args;
    all.push_back(option);
    all.push_back("--init_from=" + from);
    all.push_back("--device=" + name_of(test_device()));
    std::string text = output_of(sample_command, all);
    std::vector<std::string> parts;
    const std::string between = "\n---------------\n";
    for (size_t at; (at = text.find(between)) != text.npos; text.erase(0, at + between.size()))
      parts.push_back(text.substr(0, at));
    return parts;
  };
  const std::vector<std::string> whole = samples(model("ChatML"), "--ignore_eos");
  const EndTokens ends{{'q', 'w'}, true};  // its ids of bytes; no longer token has them
  const std::string from = model("ChatML", ends);
  ASSERT_EQ(whole.size(), 12u);
  std::vector<std::string> cut;
  for (const std::string& text : whole) cut.push_back(text.substr(0, text.find_first_of("qw")));
  EXPECT_NE(cut, whole);
  for (const char* option : {"--batch_size=5", "--batch_size=1", "--kv_cache=off"})
    EXPECT_EQ(samples(from, option), cut) << option;
  EXPECT_EQ(samples(from, "--ignore_eos"), whole);
}

// Through a quantised file, and out again as they came.
TEST_F(ChatCommand, EndTokensAndTemplateStayWithTheModel) {
  for (const EndTokens& ends :
       {EndTokens{{7}, false}, EndTokens{{7}, true}, EndTokens{{7, 3}, true}}) {
    const std::string from = model("Llama 3", ends);
    const json id = ends.is_list ? json(ends.ids) : json(7);
    EXPECT_EQ(read_json(from + "/config.json").at("eos_token_id"), id);
    EXPECT_EQ(read_json(from + "/generation_config.json").at("eos_token_id"), id);
    output_of(export_command, {"--init_from=" + from, "--to=" + (folder_ / "again")});
    for (const char* file : {"config.json", "generation_config.json", "tokenizer_config.json"})
      EXPECT_EQ(read_file(folder_ / "again" + ("/" + std::string(file))),
                read_file(from + "/" + file))
          << file;
    const json config = read_json(folder_ / "again/tokenizer_config.json");
    EXPECT_EQ(config.at("chat_template"), reference::chat_template("Llama 3"));
    EXPECT_EQ(config.at("bos_token"), "<|begin_of_text|>");
    EXPECT_EQ(config.at("eos_token"), "</s>");
    EXPECT_TRUE(config.at("unk_token").is_null());
    const std::string file = folder_ / "bf16.h5";
    output_of(quantize_command, {"--init_from=" + from, "--to=" + file, "--weights=bfloat16"});
    const OpenedModel opened = open_model(file, "", test_device(), Purpose::inference);
    EXPECT_EQ(opened.format.ends, ends);
    EXPECT_EQ(opened.format.chat.templates, json(reference::chat_template("Llama 3")).dump());
    const std::vector<std::string> args{"--chat", "--start=hi", "--max_new_tokens=5",
                                        "--weights=bfloat16"};
    EXPECT_EQ(sample(file, args), sample(from, args));
  }
}

}  // namespace
}  // namespace folio
