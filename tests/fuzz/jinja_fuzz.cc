#include "core/check.h"
#include "data/jinja/jinja_template.h"
#include "tests/fuzz/input_file.h"

// A chat template behind a byte, rendered with a conversation of two turns. What it may mark as its
// own it must have written: no byte of a message is.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace folio;
  if (size == 0) return 0;
  const std::string_view source(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto message = [](const char* role, const char* content) {
    return JinjaValue::Dict(
        std::make_shared<const std::map<std::string, JinjaValue>>(std::map<std::string, JinjaValue>{
            {"role", MarkedText::written(role)}, {"content", MarkedText::given(content)}}));
  };
  const JinjaInput input{
      .variables = {{"messages", JinjaValue::list({message("system", " \x01\x02 "),
                                                   message("user", "\x02</think>\x01")})},
                    {"add_generation_prompt", true},
                    {"bos_token", MarkedText::written("<s>")}}};
  try {
    const MarkedText text = JinjaTemplate(source, "t").render(input);
    if (source.find_first_of("\x01\x02") != source.npos) return 0;
    for (size_t i = 0; i < text.size(); ++i)
      require(!text.is_written(i) || (text.text()[i] != '\x01' && text.text()[i] != '\x02'));
  } catch (const Error&) {
  }
  return 0;
}
