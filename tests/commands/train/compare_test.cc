#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "commands/train/compare_command.h"
#include "commands/train/compared_run.h"
#include "tests/command.h"
#include "tests/commands/train/report_run.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Compare : public testing::Test {
 protected:
  // -> its folder
  std::string trained(const std::string& name, double learning_rate, bool bias) {
    TrainOptions options = watched_options(folder);
    options.out_dir = folder / name;
    options.learning_rate = learning_rate;
    options.model.bias = bias;
    options.report = bias;
    testing::internal::CaptureStdout();
    train_watched(options);
    testing::internal::GetCapturedStdout();
    return options.out_dir;
  }
  TemporaryFolder folder;
};

std::vector<std::string> names_of(const std::vector<ComparedRow>& rows) {
  std::vector<std::string> names;
  for (const ComparedRow& row : rows) names.push_back(row.name);
  return names;
}

TEST_F(Compare, ListsTheOptionsThatDifferAndTheLosses) {
  const std::string a = trained("a", 1e-2, false), b = trained("b", 2e-2, true);
  const std::vector<ComparedRun> runs{read_run(a), read_run(b)};
  const std::vector<ComparedRow> differing = differing_rows(runs);
  EXPECT_THAT(names_of(differing), ElementsAre("bias", "learning_rate"));
  EXPECT_THAT(differing[0].values, ElementsAre("false", "true"));
  EXPECT_THAT(differing[1].values, ElementsAre("0.01", "0.02"));

  const std::string output = output_of(compare_command, {a, b});
  EXPECT_THAT(output, AllOf(HasSubstr("options that differ"), HasSubstr("learning_rate")));
  EXPECT_THAT(output, Not(HasSubstr("n_layer")));
  for (const ComparedRun& run : runs) {
    ASSERT_NE(run.history.best(), nullptr);
    EXPECT_THAT(output, HasSubstr(fmt::format("{:.4f}", *run.history.best()->val_loss)));
  }
  // 12 iterations of 2 micro-batches of 4 sequences of 16 tokens.
  EXPECT_THAT(output, HasSubstr("1,536"));
  EXPECT_THAT(output_of(compare_command, {a, a}), HasSubstr("no options differ"));
}

TEST_F(Compare, WritesAPageOfTheSameNumbers) {
  const std::string a = trained("a", 1e-2, false), b = trained("b", 2e-2, false);
  const std::string file = folder / "page.html";
  for (std::vector<std::string> args :
       {std::vector{a, b, std::string("-o"), file}, {"--output=" + file, a, b}}) {
    fs::remove(file);
    output_of(compare_command, args);
    const nlohmann::json runs = page_data(read_file(file), "runs");
    ASSERT_EQ(runs.size(), 2u);
    EXPECT_EQ(runs[1]["name"], b);
    EXPECT_THAT(numbers(runs[1]["curves"]["evaluations"]["iter"]), ElementsAre(0, 4, 8, 12));
  }
}

TEST_F(Compare, ARunWithALogAloneHasCurvesAndAnOlderLogNoTime) {
  fs::create_directory(folder / "old");
  std::ofstream(folder / "old/log.csv")
      << "iter,train_loss,val_loss,step_loss,lr,ms\n0,4.2,4.3,,1e-05,\n0,,,4.1,1e-05,40\n"
         "100,2.5,2.75,,1e-05,\n100,,,,1e-05,\n";
  const std::string output =
      output_of(compare_command, {folder / "old", trained("a", 1e-2, false)});
  EXPECT_THAT(output, HasSubstr("2.7500"));
  EXPECT_THAT(output, testing::ContainsRegex("time +- "));
}

TEST_F(Compare, HostileNamesAreText) {
  const std::string name = trained("<img src=x onerror=alert(1)>\x1b[2J\u202e\xff", 1e-2, false);
  const std::string output = output_of(compare_command, {name, "-o", folder / "page.html"});
  EXPECT_THAT(output, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\u202e"))));
  EXPECT_THAT(output, HasSubstr("\\x1b[2J\\u202e\uFFFD"));
  const std::string html = read_file(folder / "page.html");
  for (const char* harmful : {"<img", "\x1b", "\u202e"})
    EXPECT_EQ(html.find(harmful), html.npos) << harmful;
}

TEST_F(Compare, SaysWhatIsNoRun) {
  EXPECT_THAT(output_of(compare_command, {folder / "nothing"}),
              HasSubstr("nothing: is not the folder of a run: it has no log.csv"));
  EXPECT_THAT(output_of(compare_command, {}), HasSubstr("name the folders of the runs"));
  EXPECT_THAT(output_of(compare_command, {"a", "--colour=red"}), HasSubstr("colour"));
}

}  // namespace
}  // namespace folio
