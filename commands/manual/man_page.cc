#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "commands/manual/command_help.h"
#include "commands/version.h"

namespace folio {
namespace {

// Text as roff prints it: a backslash and a minus as they are, no line that begins a request.
std::string roff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return char(std::toupper(c)); });
  return text;
}

std::string sentence(std::string text) {
  text[0] = char(std::toupper(static_cast<unsigned char>(text[0])));
  return text + '.';
}

// --key=default, the key in bold and the default, or what stands for a value, in italics.
std::string tag(const OptionHelp& option) {
  const size_t key = 3 + option.name.size();  // "--key="
  if (option.written.size() == key) return fmt::format("\\fB{}\\fR", roff(option.written));
  return fmt::format("\\fB{}\\fI{}\\fR", roff(option.written.substr(0, key)),
                     roff(option.written.substr(key)));
}

// A usage's first line is bold; paragraphs follow, and lines that are indented stay as they are.
std::string paragraphs(const std::string& usage) {
  std::string text;
  bool verbatim = false;
  for (size_t at = usage.find('\n'); at != usage.npos;) {
    const size_t end = usage.find('\n', at + 1);
    const std::string line = usage.substr(at + 1, end == usage.npos ? end : end - at - 1);
    at = end;
    const bool indented = line.starts_with(' ');
    if (line.empty()) continue;
    if (indented && !verbatim) text += ".PP\n.nf\n";
    if (!indented && verbatim) text += ".fi\n";
    if (!indented && (verbatim || usage[usage.find(line) - 2] == '\n')) text += ".PP\n";
    verbatim = indented;
    text += roff(line) + '\n';
  }
  return text + (verbatim ? ".fi\n" : "");
}

std::string section(const CommandHelp& command) {
  std::string text = fmt::format(".SH {}\n.B {}\n.PP\n{}\n", roff("FOLIO " + upper(command.name)),
                                 roff(command.synopsis()), roff(sentence(command.help)));
  text += paragraphs(command.usage);
  std::string group;
  for (const OptionHelp& option : command.options) {
    if (option.group != group) text += fmt::format(".SS {}\n", roff(group = option.group));
    text += fmt::format(".TP\n{}\n{}\n", tag(option), roff(option.help));
    if (!option.values.empty() && !option.flag) {
      std::string values;
      for (const std::string& value : option.values)
        values += fmt::format("{}\\fI{}\\fR", values.empty() ? "" : ", ", roff(value));
      text += fmt::format("One of: {}.\n", values);
    }
  }
  return text;
}

constexpr const char* description =
    R"(folio trains GPT models (nanoGPT's shape, and today's) on the CPU or on NVIDIA GPUs, samples text
from them, and shows their inside. Each command has options, given as
.BI \-\-key= value
or
.BI \-\-key " value" \fR;
one that is true or false is true where it stands alone. A config file is TOML, or one of nanoGPT's
config/*.py; options on the command line override it. The files that come with folio are found under
the names of its source tree, configs/train_shakespeare_char_cpu.toml for instance.
.PP
Below, each option stands with its default.
)";

constexpr const char* ending = R"(.SH ENVIRONMENT
.TP
.BR HF_HOME ", " HF_HUB_CACHE ", " HF_ENDPOINT ", " HF_TOKEN ", " HF_HUB_OFFLINE
Where models of the Hugging Face hub lie and come from, as its own libraries have it.
.TP
.BR https_proxy ", " http_proxy ", " all_proxy ", " no_proxy
Proxies for downloads.
.TP
.B SSL_CERT_FILE
The certificates to trust in downloads, instead of the system's.
.TP
.BR RANK ", " WORLD_SIZE ", " MASTER_ADDR ", " MASTER_PORT
Number the processes that train together, where MPI did not start them.
.TP
.B FOLIO_CPU_CAPABILITY
avx512, avx2_vnni, avx2 or scalar: use no more of an x86 processor than that, to try what others will run.
.TP
.B CUDA_VISIBLE_DEVICES
The first of these is the GPU of \-\-device=cuda.
.SH FILES
.TP
.I OUT_DIR/ckpt.h5\fR, \fIOUT_DIR/last.h5
The checkpoint of the best validation loss, and the newest: HDF5.
.TP
.I OUT_DIR/log.csv\fR, \fIOUT_DIR/report.html\fR, \fIOUT_DIR/samples.jsonl\fR, \fIOUT_DIR/inside.jsonl
What a run says of itself.
.TP
.I DATA_DIR/NAME/train.bin\fR, \fIval.bin\fR, \fImeta.json
A prepared dataset, in nanoGPT's format.
.SH EXIT STATUS
0 when all was done; 1 for an error, which standard error says; 2 for a command that there is not;
128 and the signal's number after a signal, with what was finished saved.
.SH EXAMPLES
.nf
folio prepare shakespeare_char
folio train configs/train_shakespeare_char_cpu.toml \-\-out_dir=out
folio sample \-\-out_dir=out \-\-start="ROMEO:"
.fi
)";

}  // namespace

std::string man_page(std::span<const Command> commands) {
  const std::vector<CommandHelp> all = help_of_all(commands);
  std::string text =
      fmt::format(".TH FOLIO 1 {} \"folio {}\" \"User Commands\"\n", release_date(), version());
  text += ".SH NAME\nfolio \\- train GPT models, and sample from them\n.SH SYNOPSIS\n";
  text += ".nf\n";
  for (const CommandHelp& command : all) text += roff(command.synopsis()) + '\n';
  text += "folio help [COMMAND]\nfolio \\-\\-version\nfolio manual\nfolio completion bash\n.fi\n";
  text += fmt::format(".SH DESCRIPTION\n{}.SH COMMANDS\n", description);
  for (const CommandHelp& command : all)
    text += fmt::format(".TP\n.B {}\n{}\n", roff(command.name), roff(sentence(command.help)));
  text +=
      ".TP\n.B help\nThe options of a command.\n"
      ".TP\n.B manual\nThis page: folio manual | man \\-l \\-\n"
      ".TP\n.B completion bash\nCompletion for bash: source <(folio completion bash)\n";
  for (const CommandHelp& command : all) text += section(command);
  return text + ending;
}

}  // namespace folio
