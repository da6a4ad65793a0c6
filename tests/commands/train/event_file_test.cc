// Event files, read back by the definitions of TFRecord, CRC-32C and protobuf's wire format alone.
#include "commands/train/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "tests/commands/train/report_run.h"
#include "tests/message.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (char c : bytes) {
    crc ^= uint8_t(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

uint32_t masked(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

template <class T>
T take(std::string_view& bytes) {
  T value;
  check(bytes.size() >= sizeof value, "the record ends early");
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

// The messages of a file whose checksums are right.
std::vector<std::string> records(std::string_view bytes) {
  std::vector<std::string> all;
  while (!bytes.empty()) {
    const std::string_view length_bytes = bytes.substr(0, 8);
    const auto length = take<uint64_t>(bytes);
    check(take<uint32_t>(bytes) == masked(length_bytes), "a length's checksum is wrong");
    const std::string_view data = bytes.substr(0, length);
    bytes.remove_prefix(length);
    check(take<uint32_t>(bytes) == masked(data), "a record's checksum is wrong");
    all.emplace_back(data);
  }
  return all;
}

// A message's fields by number: bytes of length-delimited ones, or of the number itself.
using Fields = std::multimap<int, std::string>;
uint64_t take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = take<uint8_t>(bytes);
    value |= uint64_t(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}
Fields fields_of(std::string_view bytes) {
  Fields fields;
  while (!bytes.empty()) {
    const uint64_t key = take_varint(bytes);
    size_t size = 0;
    if ((key & 7) == 0) {
      const uint64_t value = take_varint(bytes);
      fields.emplace(int(key >> 3), fmt::format("{}", value));
      continue;
    }
    if ((key & 7) == 1) size = 8;
    if ((key & 7) == 5) size = 4;
    if ((key & 7) == 2) size = take_varint(bytes);
    fields.emplace(int(key >> 3), bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return fields;
}
std::string one(const Fields& fields, int number) {
  auto found = fields.find(number);
  return found == fields.end() ? "none" : found->second;
}
float as_float(std::string_view bytes) { return take<float>(bytes); }

TEST(EventFile, ChecksumsAreThoseOfTheFormat) {
  // RFC 3720, B.4: 32 bytes of zeros, of ones, and ascending; then a record by hand.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_THAT(records(tf_record("") + tf_record("a message") + tf_record(std::string(5000, 'x'))),
              ElementsAre("", "a message", std::string(5000, 'x')));
}

TEST(EventFile, HasScalarsAndTextsWhereTensorBoardLooks) {
  TemporaryFolder folder;
  EventFile file(folder / "tensorboard", 7);
  file.scalars(300, {{"loss/val", 1.5}, {"learning_rate", 1e-3}});
  file.text(400, "sample", "<b>\nline\xff");
  const std::vector<std::string> all = records(read_file(file.path()));
  ASSERT_THAT(all, SizeIs(4));
  EXPECT_EQ(one(fields_of(all[0]), 3), "brain.Event:2");
  const Fields start = fields_of(all[1]);  // drops steps from 7 on of earlier files
  EXPECT_EQ(one(start, 2), "7");
  EXPECT_EQ(one(fields_of(one(start, 7)), 1), "1");

  const Fields scalars = fields_of(all[2]);
  EXPECT_EQ(one(scalars, 2), "300");
  std::string_view time = scalars.find(1)->second;
  EXPECT_GT(take<double>(time), 1.7e9);
  const Fields values = fields_of(one(scalars, 5));
  ASSERT_EQ(values.count(1), 2u);
  const Fields first = fields_of(values.lower_bound(1)->second),
               second = fields_of(std::next(values.lower_bound(1))->second);
  EXPECT_EQ(one(first, 1), "loss/val");
  EXPECT_EQ(as_float(one(first, 2)), 1.5f);
  EXPECT_EQ(one(second, 1), "learning_rate");
  EXPECT_EQ(as_float(one(second, 2)), 1e-3f);

  const Fields text = fields_of(one(fields_of(one(fields_of(all[3]), 5)), 1));
  EXPECT_EQ(one(text, 1), "sample");
  EXPECT_EQ(one(fields_of(one(fields_of(one(text, 9)), 1)), 1), "text");  // the plugin
  const Fields tensor = fields_of(one(text, 8));
  EXPECT_EQ(one(tensor, 1), "7");  // strings
  EXPECT_EQ(one(fields_of(one(fields_of(one(tensor, 2)), 2)), 1), "1");
  EXPECT_EQ(one(tensor, 8), "    <b>\n    line\uFFFD") << "Markdown's code, so that it stays text";
}

TEST(EventFile, OfOneFolderAreReadInTheirOrderAndAFolderThatCannotBeIsNamed) {
  TemporaryFolder folder;
  EventFile first(folder / "t", 0), second(folder / "t", 0);
  EXPECT_LT(first.path(), second.path());
  std::ofstream(folder / "file") << "x";
  EXPECT_THAT(message_of([&] { EventFile(folder / "file", 0); }), HasSubstr("file"));
}

TEST(EventFile, ARunWritesItsRows) {
  TemporaryFolder folder;
  const TrainOptions options = watched_options(folder);
  testing::internal::CaptureStdout();
  EXPECT_TRUE(train_watched(options));
  testing::internal::GetCapturedStdout();
  std::map<std::string, int> tags;
  for (const auto& entry : fs::directory_iterator(fs::path(options.out_dir) / "tensorboard"))
    for (const std::string& record : records(read_file(entry.path().string())))
      for (const auto& [number, value] :
           fields_of(one(fields_of(record), 5) == "none" ? "" : one(fields_of(record), 5)))
        ++tags[one(fields_of(value), 1)];
  EXPECT_EQ(tags["loss/val"], 4);
  EXPECT_EQ(tags["loss/train"], 4);
  EXPECT_EQ(tags["sample"], 4);
  EXPECT_EQ(tags["loss/step"], 13);
  EXPECT_EQ(tags["gradient_norm"], 13);
  EXPECT_EQ(tags["learning_rate"], 17);
  EXPECT_EQ(tags["tokens_per_second"], 13);
  EXPECT_GE(tags["update_ratio/median"], 12);
}

}  // namespace
}  // namespace folio
