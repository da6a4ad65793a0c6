#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "include_rules.h"
#include "tests/paths.h"
#include "tests/tree/seeded_tree.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// The violations of a small tree with one file that includes `line`.
class IncludesOf : public SeededTree {
 protected:
  std::vector<std::string> violations(const fs::path& file, const std::string& line) {
    clear();
    add(file, "#pragma once\n" + line + "\n");
    return include_violations(root);
  }
};

TEST(IncludeRules, TheTreeKeepsThem) {
  EXPECT_GT(program_sources(source_dir()).size(), 50u);
  EXPECT_THAT(include_violations(source_dir()), IsEmpty());
}

// A source in a folder without a rule would be read by nobody.
TEST(IncludeRules, EverySourceIsInAFolderWithARule) {
  std::vector<fs::path> read = program_sources(source_dir());
  for (const auto& folder : fs::directory_iterator(source_dir())) {
    std::string name = folder.path().filename();
    bool ignored = name[0] == '.' || name == "tests" || name == "datasets" ||
                   name.starts_with("build") || name.starts_with("out");
    if (!folder.is_directory() || ignored) continue;
    for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
      std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc" && extension != ".cu") continue;
      EXPECT_THAT(read, testing::Contains(entry.path().lexically_relative(source_dir())));
    }
  }
}

TEST_F(IncludesOf, AFolderAboveIsNamedWithItsLine) {
  EXPECT_THAT(violations("nn/layers.cc", "#include \"train/optimizer/adamw.h\""),
              ElementsAre("nn/layers.cc:2: nn may not include train/optimizer/adamw.h"));
  EXPECT_THAT(violations("core/array.h", "  #  include \"autograd/tensor.h\"  // why"),
              ElementsAre("core/array.h:2: core may not include autograd/tensor.h"));
  EXPECT_THAT(violations("autograd/ops.cc", "#include <nn/module.h>"),
              ElementsAre("autograd/ops.cc:2: autograd may not include nn/module.h"));
}

TEST_F(IncludesOf, EveryWrongPairIsCaughtAndEveryRightOnePasses) {
  const std::vector<std::string> folders = {"core",    "autograd",   "nn",    "data",
                                            "configs", "checkpoint", "train", "sample",
                                            "inspect", "commands"};
  const std::map<std::string, std::string> allowed = {
      {"core", "core"},
      {"autograd", "autograd core"},
      {"nn", "nn autograd core"},
      {"data", "data core"},
      {"configs", "configs core"},
      {"checkpoint", "checkpoint nn autograd data configs core"},
      {"train", "train checkpoint nn autograd data configs core"},
      {"sample", "sample checkpoint nn autograd data configs core"},
      {"inspect", "inspect checkpoint nn autograd data configs core"},
      {"commands", "commands train sample inspect checkpoint nn autograd data configs core"}};
  for (const std::string& from : folders) {
    for (const std::string& to : folders) {
      bool may = (" " + allowed.at(from) + " ").find(" " + to + " ") != std::string::npos;
      EXPECT_EQ(violations(from + "/a.h", "#include \"" + to + "/b.h\"").empty(), may)
          << from << " includes " << to;
    }
  }
}

TEST_F(IncludesOf, ConfigsKnowTheFieldsOfAModelAndNoMoreOfIt) {
  EXPECT_THAT(violations("configs/train_options.h", "#include \"nn/gpt_config.h\""), IsEmpty());
  EXPECT_THAT(violations("configs/train_options.h", "#include \"nn/gpt.h\""),
              ElementsAre("configs/train_options.h:2: configs may not include nn/gpt.h"));
  EXPECT_THAT(violations("data/corpus/prepare.h", "#include \"nn/gpt_config.h\""),
              testing::SizeIs(1));
}

TEST_F(IncludesOf, VendorsStayInTheirFolders) {
  EXPECT_THAT(violations("nn/gpt.cc", "#include <omp.h>"),
              ElementsAre("nn/gpt.cc:2: only core/cpu/ may include omp.h"));
  for (std::string header : {"oneapi/dnnl/dnnl.hpp", "dnnl.hpp", "hwy/highway.h", "omp.h"}) {
    EXPECT_THAT(violations("core/array.cc", "#include <" + header + ">"), testing::SizeIs(1));
    EXPECT_THAT(violations("core/cpu/gemm.cc", "#include <" + header + ">"), IsEmpty());
  }
  for (std::string header : {"cuda.h", "cuda_runtime.h", "cublasLt.h", "cudnn.h"}) {
    EXPECT_THAT(violations("core/cpu/gemm.cc", "#include <" + header + ">"), testing::SizeIs(1));
    EXPECT_THAT(violations("core/cuda/kernels/norms.cu", "#include <" + header + ">"), IsEmpty());
  }
  const std::map<std::string, std::string> owners = {{"hdf5.h", "data/hdf5/read.cc"},
                                                     {"H5FDdevelop.h", "data/hdf5/driver.cc"},
                                                     {"curl/curl.h", "data/download/download.cc"},
                                                     {"openssl/evp.h", "data/files/sha256.cc"},
                                                     {"histedit.h", "commands/sample/line.cc"}};
  for (const auto& [header, file] : owners) {
    EXPECT_THAT(violations("train/run.cc", "#include <" + header + ">"), testing::SizeIs(1));
    EXPECT_THAT(violations("main.cc", "#include <" + header + ">"), testing::SizeIs(1));
    EXPECT_THAT(violations(file, "#include <" + header + ">"), IsEmpty());
  }
  EXPECT_THAT(violations("data/files/files.cc", "#include <hdf5.h>"),
              ElementsAre("data/files/files.cc:2: only data/hdf5/ may include hdf5.h"));
  EXPECT_THAT(
      violations("nn/gpt.cc", "#include <nlohmann/json.hpp>"),
      ElementsAre("nn/gpt.cc:2: only commands/, data/, inspect/ may include nlohmann/json.hpp"));
  EXPECT_THAT(violations("commands/eval_command.cc", "#include <nlohmann/json.hpp>"), IsEmpty());
  EXPECT_THAT(violations("train/run.cc", "#include <toml++/toml.h>"), testing::SizeIs(1));
  EXPECT_THAT(violations("configs/a.cc", "#include <toml++/toml.h>"), IsEmpty());
}

TEST_F(IncludesOf, OnlyCommandsPrint) {
  const std::string print = "#include \"core/process/output.h\"",
                    progress = "#include \"core/process/progress_line.h\"";
  EXPECT_THAT(
      violations("train/train.cc", print),
      ElementsAre("train/train.cc:2: only commands/, configs/command_line.cc, "
                  "core/process/, core/ranks/leave.cc, main.cc may include core/process/output.h"));
  for (std::string file : {"core/array.cc", "nn/gpt.cc", "data/corpus/prepare.cc",
                           "sample/start.cc", "configs/rules.cc", "checkpoint/open_model.cc"})
    EXPECT_THAT(violations(file, print), testing::SizeIs(1)) << file;
  for (std::string file : {"main.cc", "commands/sample/conversation.cc", "core/process/stop.cc"})
    EXPECT_THAT(violations(file, print), IsEmpty()) << file;
  for (std::string file : {"core/array.cc", "sample/generate.cc", "checkpoint/quantized_file.cc"})
    EXPECT_THAT(violations(file, progress), testing::SizeIs(1)) << file;
  EXPECT_THAT(violations("data/corpus/prepare.cc", progress), IsEmpty());
}

TEST_F(IncludesOf, OnlyCoreItselfReachesTheFolderOfADevice) {
  EXPECT_THAT(violations("train/run.cc", "#include \"core/cpu/gemm.h\""), testing::SizeIs(1));
  EXPECT_THAT(violations("nn/gpt.cc", "#include \"core/cuda/gpu.h\""), testing::SizeIs(1));
  EXPECT_THAT(violations("core/backend.cc", "#include \"core/cpu/cpu_backend.h\""), IsEmpty());
}

TEST_F(IncludesOf, PathsAreFromTheRoot) {
  EXPECT_THAT(violations("nn/gpt.cc", "#include \"layers.h\""),
              ElementsAre("nn/gpt.cc:2: layers.h is not a path from the root of the tree"));
  EXPECT_THAT(violations("nn/gpt.cc", "#include \"../train/optimizer/adamw.h\""),
              testing::SizeIs(1));
}

TEST_F(IncludesOf, MainMayIncludeEveryFolderAndTheStandardLibraryIsFree) {
  EXPECT_THAT(violations("main.cc", "#include \"commands/train/train_command.h\""), IsEmpty());
  EXPECT_THAT(violations("core/array.cc", "#include <vector>"), IsEmpty());
  EXPECT_THAT(violations("core/array.cc", "#include <fmt/format.h>"), IsEmpty());
}

}  // namespace
}  // namespace folio
