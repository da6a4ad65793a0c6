// Files that somebody made and sealed: the digest is right, what HDF5 finds is not what folio
// writes. What a file can make the reader do is bounded by its size, and it opens no other file.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <functional>

#include "core/backend.h"
#include "data/files/files.h"
#include "data/hdf5/checkpoint_file.h"
#include "data/hdf5/seal.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

class HostileCheckpoint : public testing::Test {
 protected:
  // The Error of a checkpoint with one tensor, model/w, after `change` and a new seal.
  std::string error(const std::function<void(hid_t)>& change) {
    CheckpointFile content;
    content.tensors["model/w"] = to_array(std::vector<float>{1, 2, 3}, {3});
    save(path_, content);
    hid_t file = H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    EXPECT_GE(file, 0);
    change(file);
    EXPECT_GE(H5Fclose(file), 0);
    FileDescriptor sealed(open(path_.c_str(), O_RDWR | O_CLOEXEC));
    write_seal(sealed.get(), path_);
    return error_of([&] { load(path_); });
  }
  // A data set of floats that has no bytes yet.
  static void make_dataset(hid_t file, std::vector<hsize_t> dims, hid_t properties) {
    hid_t space = H5Screate_simple(int(dims.size()), dims.data(), nullptr);
    hid_t set =
        H5Dcreate2(file, "big", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    EXPECT_GE(set, 0);
    H5Dclose(set);
    H5Sclose(space);
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "ckpt.h5";
};

TEST_F(HostileCheckpoint, UnchangedItLoads) {
  EXPECT_EQ(error([](hid_t) {}), "");
}

TEST_F(HostileCheckpoint, GroupsInCircles) {
  auto link = [](hid_t file) {
    EXPECT_GE(H5Lcreate_hard(file, "/", file, "model/again", H5P_DEFAULT, H5P_DEFAULT), 0);
  };
  EXPECT_THAT(error(link), HasSubstr("its groups hold each other"));
}

// Ten groups, each of which holds the next eight times: a billion paths.
TEST_F(HostileCheckpoint, GroupsThatFanOut) {
  auto link = [](hid_t file) {
    for (int i = 0; i < 10; ++i) {
      hid_t group =
          H5Gcreate2(file, fmt::format("g{}", i).c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      EXPECT_GE(group, 0);
      for (int k = 0; i > 0 && k < 8; ++k)
        EXPECT_GE(H5Lcreate_hard(file, fmt::format("g{}", i - 1).c_str(), group,
                                 fmt::format("{}", k).c_str(), H5P_DEFAULT, H5P_DEFAULT),
                  0);
      H5Gclose(group);
    }
  };
  EXPECT_THAT(error(link), HasSubstr("its groups hold each other"));
}

TEST_F(HostileCheckpoint, OneTensorUnderManyNames) {
  auto link = [](hid_t file) {
    for (int i = 0; i < 400; ++i)
      EXPECT_GE(H5Lcreate_hard(file, "model/w", file, fmt::format("copy{}", i).c_str(), H5P_DEFAULT,
                               H5P_DEFAULT),
                0);
    make_dataset(file, {2000}, H5P_DEFAULT);
    for (int i = 0; i < 40; ++i)
      EXPECT_GE(H5Lcreate_hard(file, "big", file, fmt::format("big{}", i).c_str(), H5P_DEFAULT,
                               H5P_DEFAULT),
                0);
  };
  EXPECT_THAT(error(link), HasSubstr("more bytes than the file has"));
}

TEST_F(HostileCheckpoint, LinksToOtherPlacesAndFiles) {
  auto soft = [](hid_t file) {
    EXPECT_GE(H5Lcreate_soft("/model/w", file, "soft", H5P_DEFAULT, H5P_DEFAULT), 0);
  };
  EXPECT_THAT(error(soft), HasSubstr("the tensor \"soft\": a link to elsewhere"));
  auto external = [](hid_t file) {
    EXPECT_GE(H5Lcreate_external("other.h5", "/w", file, "external", H5P_DEFAULT, H5P_DEFAULT), 0);
  };
  EXPECT_THAT(error(external), HasSubstr("the tensor \"external\": a link to elsewhere"));
}

TEST_F(HostileCheckpoint, TensorsLargerThanTheFile) {
  for (std::vector<hsize_t> dims :
       {std::vector<hsize_t>{1 << 20}, {hsize_t(1) << 40}, {hsize_t(1) << 31, hsize_t(1) << 29}})
    EXPECT_THAT(error([&](hid_t file) { make_dataset(file, dims, H5P_DEFAULT); }),
                HasSubstr("more bytes than the file has"));
}

TEST_F(HostileCheckpoint, TensorsInOtherFilesOrInPieces) {
  write_file(folder_ / "secret", "0123456789abcdef");
  hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(properties, (folder_ / "secret").c_str(), 0, 16);
  EXPECT_THAT(error([&](hid_t file) { make_dataset(file, {4}, properties); }),
              HasSubstr("not one piece of this file"));
  H5Pclose(properties);
  properties = H5Pcreate(H5P_DATASET_CREATE);
  hsize_t chunk = 4;
  H5Pset_chunk(properties, 1, &chunk);
  H5Pset_deflate(properties, 9);
  EXPECT_THAT(error([&](hid_t file) { make_dataset(file, {4}, properties); }),
              HasSubstr("not one piece of this file"));
  H5Pclose(properties);
}

}  // namespace
}  // namespace folio
