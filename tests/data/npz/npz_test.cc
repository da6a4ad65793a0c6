#include "data/npz/npz.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files/files.h"
#include "data/torch_file/zip_archive.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

// NumPy's own bytes for np.save of a (2, 3) array of float32 and of a vector of int32.
TEST(Npz, HeadersAreNumPys) {
  const std::string matrix = npy_header({2, 3}, "<f4");
  EXPECT_EQ(matrix.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(matrix.size(), 128u);
  EXPECT_THAT(matrix, HasSubstr("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
  EXPECT_EQ(matrix.back(), '\n');
  EXPECT_THAT(npy_header({7}, "<i4"), HasSubstr("'shape': (7,), }"));
  EXPECT_THAT(npy_header({}, "<f4"), HasSubstr("'shape': (), }"));
  EXPECT_EQ(npy_header(std::vector<int64_t>(40, 123456), "<f4").size() % 64, 0u);
}

TEST(Npz, HoldsEachArrayAsItWas) {
  TemporaryFolder folder;
  const std::vector<float> values{1, 2, 3, 4, 5, -6.5f};
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()), 24);
  const std::string path = folder / "x.npz";
  write_npz(path, {{"blocks.0.hook_v", {2, 3}, "<f4", bytes}, {"empty", {0}, "<f4", {}}});
  const std::string file = read_file(path);
  ZipArchive zip(file, path);
  const std::string name = "blocks.0.hook_v.npy";
  EXPECT_EQ(zip.size(name), 128u + 24u);
  EXPECT_NE(file.find(npy_header({2, 3}, "<f4") + std::string(bytes)), std::string::npos);
  EXPECT_EQ(zip.size("empty.npy"), 128u);
  write_npz(folder / "y.npz",
            {{"blocks.0.hook_v", {2, 3}, "<f4", bytes}, {"empty", {0}, "<f4", {}}});
  EXPECT_EQ(read_file(folder / "y.npz"), file) << "the same arrays, the same bytes";
}

TEST(Npz, AFolderThatIsNotThereIsAnError) {
  EXPECT_THAT(message_of([] { write_npz("/no/such/x.npz", {}); }), HasSubstr("/no/such/x.npz"));
}

}  // namespace
}  // namespace folio
