#include "checkpoint/saved_text_format.h"

#include "core/check.h"

namespace folio {

void put_text_format(CheckpointFile& file, const TextFormat& format) {
  if (!format.ends.ids.empty()) file.attributes["end_tokens"] = to_text(format.ends);
  if (format.chat.templates.empty()) return;
  file.attributes["chat_template"] = format.chat.templates;
  file.attributes["chat_tokens"] = tokens_to_text(format.chat);
}

TextFormat saved_text_format(const CheckpointFile& file, int64_t vocab_size) {
  auto place = [&](const char* key) { return fmt::format("{}: \"{}\"", file.path.string(), key); };
  auto text = [&](const char* key) { return file.attribute<std::string>(key); };
  TextFormat format;
  if (file.has("end_tokens"))
    format.ends = end_tokens_from_text(text("end_tokens"), vocab_size, place("end_tokens"));
  format.chat.where = place("chat_template");
  if (file.has("chat_template"))
    format.chat =
        chat_format_from_text(text("chat_template"), text("chat_tokens"), place("chat_template"));
  return format;
}

}  // namespace folio
