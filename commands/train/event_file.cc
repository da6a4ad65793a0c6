#include "commands/train/event_file.h"

#include <commands/train/event.pb.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <unistd.h>

#include <chrono>

#include "core/check.h"
#include "data/text/utf8_stream.h"

namespace folio {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void append_little_endian(std::string& bytes, uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += char(value >> 8 * i & 0xff);
}

// CRC-32C, turned and moved, as TFRecord has it, so that a checksum of checksums is none.
uint32_t masked_crc(std::string_view bytes) {
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));  // only read
  const uint32_t crc = ~crc32_iscsi(data, int(bytes.size()), ~0u);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

events::Event event_of(int64_t step) {
  events::Event event;
  event.set_wall_time(now());
  event.set_step(step);
  return event;
}

// As Markdown shows it unchanged: a block of code.
std::string as_code(const std::string& text) {
  Utf8Stream characters;
  std::string shown = "    ";
  for (char c : characters.push(text) + characters.finish()) {
    shown += c;
    if (c == '\n') shown += "    ";
  }
  return shown;
}

}  // namespace

std::string tf_record(std::string_view message) {
  std::string length, record;
  append_little_endian(length, message.size(), 8);
  record = length;
  append_little_endian(record, masked_crc(length), 4);
  record += message;
  append_little_endian(record, masked_crc(message), 4);
  return record;
}

EventFile::EventFile(const std::filesystem::path& folder, int64_t first) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  check(!failure, "{}: cannot make the folder: {}", folder.string(), failure.message());
  // TensorBoard reads the files of a folder in the order of their names.
  std::string name;
  int number = 0;
  do name = fmt::format("events.out.tfevents.{:.3f}.folio.{}.{}", now(), getpid(), number++);
  while (std::filesystem::exists(folder / name));
  path_ = (folder / name).string();
  file_ = open_file(path_, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
  events::Event version = event_of(0);
  version.set_file_version("brain.Event:2");
  add(version.SerializeAsString());
  events::Event start = event_of(first);
  start.mutable_session()->set_status(events::Session::START);
  add(start.SerializeAsString());
}

void EventFile::scalars(int64_t step, const std::vector<std::pair<std::string, double>>& values) {
  events::Event event = event_of(step);
  for (const auto& [tag, value] : values) {
    events::Value* one = event.mutable_summary()->add_values();
    one->set_tag(tag);
    one->set_scalar(float(value));
  }
  add(event.SerializeAsString());
}

void EventFile::text(int64_t step, const std::string& tag, const std::string& text) {
  events::Event event = event_of(step);
  events::Value* value = event.mutable_summary()->add_values();
  value->set_tag(tag);
  value->mutable_metadata()->mutable_plugin()->set_name("text");
  events::Tensor* tensor = value->mutable_tensor();
  tensor->set_dtype(events::TEXT);
  tensor->mutable_shape()->add_dim()->set_size(1);
  tensor->add_text(as_code(text));
  add(event.SerializeAsString());
}

void EventFile::add(const std::string& message) {
  write_all(file_.get(), tf_record(message), path_);
}

}  // namespace folio
