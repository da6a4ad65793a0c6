#include "inspect/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/tokenizer/char_tokenizer.h"
#include "tests/inspect/models.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<float> decoded(const nlohmann::json& array) {
  const std::string text = array.at("f32");
  std::string bytes;
  uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    if (c == '=') break;
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bits = bits << 6 | uint32_t(digits.find(c));
    held += 6;
    if (held >= 8) bytes += char(bits >> (held -= 8) & 255);
  }
  std::vector<float> values(bytes.size() / 4);
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
  return values;
}

// Characters that a page must show as text: markup, a zero byte, a mark that turns the direction.
const std::u32string hostile(U"\0\n\"&'/<>\u2028\u202e\U0001f600", 11);

class Report : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { draw(model); }
  GptConfig config = inspected_models()[size_t(GetParam())].second;
  Gpt model{config, test_device()};
  Inspection all = [&] {
    draw(model);
    return inspect(model, std::make_shared<CharTokenizer>(hostile), "</title><script>x</script>",
                   ten_tokens());
  }();
};

TEST_P(Report, JsonHasTheNumbers) {
  const nlohmann::json json = nlohmann::json::parse(script_json(to_json(all)));
  EXPECT_EQ(json.at("format"), "folio inspect 1");
  EXPECT_EQ(json.at("tokens"), ten_tokens());
  EXPECT_EQ(json.at("text"), all.tokenizer->decode(ten_tokens()));
  EXPECT_EQ(json.at("token_texts").size(), 11u);
  EXPECT_EQ(json.at("token_texts").at("6"), "<");
  EXPECT_EQ(json.at("config").at("n_kv_head"), 2);
  EXPECT_EQ(json.at("config").at("head_dim"), config.heads().width);
  EXPECT_EQ(json.at("attention").at("shape"), (std::vector<int64_t>{2, config.n_head, 10, 10}));
  const std::vector<float> attention = decoded(json.at("attention"));
  const std::vector<float>& second = all.captures.at(1, "attn.probabilities").values;
  EXPECT_TRUE(std::equal(second.begin(), second.end(), attention.begin() + std::ssize(second)));
  EXPECT_EQ(decoded(json.at("logits")), all.captures.at("logits").values);
  EXPECT_EQ(json.at("forward").size(), all.walk.size());
  EXPECT_EQ(json.at("lens").at("loss").size(), 9u);
  EXPECT_EQ(json.at("lens").at("top").at("shape"), (std::vector<int64_t>{5, 50}));
  EXPECT_EQ(json.at("contributions").at("values").at("shape")[0],
            json.at("contributions").at("parts").size());
  EXPECT_EQ(json.at("backward").at("parameters").size(), all.backward.parameters.size());
  EXPECT_EQ(json.at("head_scores").at("scores").size(), size_t(2 * config.n_head));
}

TEST_P(Report, HostileVocabulariesAndNamesStayText) {
  for (bool live : {true, false}) {
    const std::string html = to_html(report_page(all, model, {.live = live}));
    EXPECT_THAT(html, Not(HasSubstr("<script>x")));
    EXPECT_THAT(html, Not(HasSubstr(std::string_view("\0", 1))));
    EXPECT_THAT(html, Not(HasSubstr("\u202e")));
    EXPECT_THAT(html, HasSubstr("&lt;/title&gt;&lt;script&gt;x"));
    EXPECT_THAT(html, HasSubstr(R"(\u003c/title\u003e\u003cscript\u003ex)"));
  }
}

TEST_P(Report, ALivePageHasEveryWeight) {
  const Page page = report_page(all, model, {.live = true});
  const nlohmann::ordered_json& weights = page.data.at(0).second.at("weights");
  size_t count = 0;
  model.parameters([&](const std::string& name, Parameter& p) {
    EXPECT_EQ(decoded(weights.at(name)), on_host(p.array()).values) << name;
    ++count;
  });
  EXPECT_EQ(weights.size(), count);
  EXPECT_FALSE(report_page(all, model, {}).data.at(0).second.contains("weights"));
}

TEST_P(Report, APageThatIsNotLiveHasTheTensorsToLookAt) {
  const Page page = report_page(all, model, {});
  const nlohmann::ordered_json& heats = page.data.at(0).second.at("heats");
  EXPECT_EQ(heats.size(), all.walk.size() - 3) << "without logits and two layers' probabilities";
  EXPECT_EQ(heats.at("h.1.mlp.hidden").at("shape"), (std::vector<int64_t>{10, config.hidden()}));
  EXPECT_TRUE(page.data.at(0).second.at("sources").contains("attn.scores"));
}

INSTANTIATE_TEST_SUITE_P(Models, Report, testing::Values(0, 1), [](const auto& info) {
  return inspected_models()[size_t(info.param)].first;
});

TEST(Inspect, ATextOfOneTokenOrTooManyIsAnError) {
  Gpt model(inspected_models()[0].second, test_device(), 1);
  auto of = [&](size_t n) {
    return message_of([&] {
      inspect(model, std::make_shared<CharTokenizer>(hostile), "x", std::vector<int32_t>(n, 1));
    });
  };
  EXPECT_THAT(of(1), HasSubstr("has 1 tokens, and needs two or more"));
  EXPECT_THAT(of(13), HasSubstr("has 13 tokens, but the model's block_size is 12"));
}

}  // namespace
}  // namespace folio
