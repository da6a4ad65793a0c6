// What `prepare` takes for a text, and what it says of what is none.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "data/corpus/prepare.h"
#include "data/dataset/meta.h"
#include "data/files/files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class PrepareInputs : public testing::Test {
 protected:
  // What is told, and the Error that ends it.
  std::string run(PrepareOptions options) {
    options.name = "set";
    if (options.data_dir == PrepareOptions{}.data_dir) options.data_dir = folder_.path();
    std::string told;
    options.tell = [&](const std::string& lines) { told += lines; };
    std::string error = error_of([&] { prepare(options); });
    return told + error;
  }
  std::string file(const std::string& name, const std::string& text) {
    write_file(folder_ / name, text);
    return folder_ / name;
  }
  // The text of both splits, one after the other.
  std::string text() {
    Dataset data = open_dataset(folder_ / "set");
    std::string text;
    for (const TokenFile* split : {&data.train, &data.val}) {
      std::vector<int32_t> ids(size_t(split->size()));
      split->read(0, ids);
      text += data.meta.tokenizer->decode(ids);
    }
    return text;
  }

  TemporaryFolder folder_;
};

TEST_F(PrepareInputs, ATextIsTakenAsItIs) {
  std::string odd = "\ufeffline\r\nline\r\rline" + std::string(2, '\0') + "\n\n";
  run({.input = file("in.txt", odd)});
  EXPECT_EQ(text(), odd);
}

TEST_F(PrepareInputs, ASplitWithoutATrainingTokenIsRefused) {
  for (double fraction : {0.81, 0.9, 0.999})
    EXPECT_THAT(run({.input = file("in.txt", "abcde"), .val_fraction = fraction}),
                AllOf(HasSubstr("5 characters cannot be split"), HasSubstr("val_fraction")));
  run({.input = folder_ / "in.txt", .val_fraction = 0.79});
  EXPECT_EQ(open_dataset(folder_ / "set").train.size(), 1);
}

// Also one whose writer comes late, or writes in two goes.
TEST_F(PrepareInputs, ANamedPipeIsReadToItsEnd) {
  std::string pipe = folder_ / "pipe", half(100000, 'a');
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] {
    FileDescriptor file(open(pipe.c_str(), O_WRONLY));
    write_all(file.get(), half + "b", "the pipe");
    write_all(file.get(), half, "the pipe");
  });
  EXPECT_THAT(run({.input = pipe}), HasSubstr("characters: 200,001\n"));
  writer.join();
  EXPECT_EQ(text(), half + "b" + half);
  EXPECT_EQ(open_dataset(folder_ / "set").meta.source, pipe);
  std::filesystem::directory_iterator files(folder_ / "set");
  EXPECT_EQ(std::distance(files, {}), 3);
}

TEST_F(PrepareInputs, TheCharactersOfJsonLinesAreThoseOfTheirTexts) {
  std::string lines =
      "{\"text\": \"d\\u00e9j\\u00e0\"}\n{\"title\": \"Z\"}\n{\"text\": \"vu\\nvu\"}";
  EXPECT_THAT(run({.input = file("in.jsonl", lines)}),
              AllOf(HasSubstr("1 line left out: " + folder_ / "in.jsonl:2: has no \"text\""),
                    HasSubstr("length of dataset in characters: 11\n")));
  EXPECT_EQ(text(), "d\u00e9j\u00e0\nvu\nvu\n");
  EXPECT_EQ(open_dataset(folder_ / "set").meta.source, folder_ / "in.jsonl");
  std::filesystem::directory_iterator files(folder_ / "set");
  EXPECT_EQ(std::distance(files, {}), 3);
  EXPECT_THAT(run({.input = folder_ / "in.jsonl", .strict = true}),
              AllOf(HasSubstr("in.jsonl:2: "), HasSubstr("--strict")));
}

TEST_F(PrepareInputs, PathsThatLeadNowhereAreNamed) {
  std::filesystem::create_symlink("round", folder_ / "round");
  EXPECT_THAT(run({.input = folder_ / "round"}),
              AllOf(HasSubstr(folder_ / "round"), HasSubstr("Too many levels")));
  EXPECT_THAT(run({.input = std::string(5000, 'x')}), HasSubstr("File name too long"));
  EXPECT_THAT(
      run({.input = file("in.txt", "some text"), .data_dir = folder_ / "in.txt"}),
      AllOf(HasSubstr("in.txt/set: cannot make this folder"), HasSubstr("Not a directory")));
}

}  // namespace
}  // namespace folio
