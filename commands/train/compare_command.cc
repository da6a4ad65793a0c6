#include "commands/train/compare_command.h"

#include <unistd.h>

#include <cmath>

#include "commands/train/compared_run.h"
#include "commands/train/text_plot.h"
#include "configs/option_table.h"
#include "core/process/output.h"
#include "core/text/columns.h"
#include "data/files/files.h"
#include "data/text/visible.h"

namespace folio {
namespace {

struct CompareOptions {
  std::string output = "";
  std::string plot = "auto";
};

std::vector<Option> option_rows(CompareOptions& o) {
  return {path_option("output", &o.output, "also -o FILE: write a page of curves and tables there"),
          {"plot", &o.plot, "draw the val losses in text: auto: on a terminal",
           one_of({"auto", "on", "off"})}};
}

// The folders among the arguments; what is left are options as OptionTable reads them.
std::vector<std::string> take_folders(std::vector<std::string>& args) {
  std::vector<std::string> folders, options;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string arg = args[i] == "-o" ? "--output" : args[i];
    if (!arg.starts_with('-')) {
      folders.push_back(arg);
      continue;
    }
    options.push_back(arg);
    const bool takes_next = arg == "--output" || arg == "--plot";
    if (takes_next && i + 1 < args.size()) options.push_back(args[++i]);
  }
  args = options;
  return folders;
}

std::string padded(const std::string& text, size_t width, bool right) {
  const std::string gap(width - std::min(width, columns_of(text)), ' ');
  return right ? gap + text : text + gap;
}

// Rows of texts as a table, names left, values right, `head` above.
std::string table(const std::vector<ComparedRow>& rows, const ComparedRow& head) {
  std::vector<const ComparedRow*> all{&head};
  for (const ComparedRow& row : rows) all.push_back(&row);
  size_t left = 0;
  std::vector<size_t> widths(head.values.size());
  for (const ComparedRow* row : all) {
    left = std::max(left, columns_of(row->name));
    for (size_t i = 0; i < widths.size(); ++i)
      widths[i] = std::max(widths[i], columns_of(visible(row->values[i], true)));
  }
  std::string text;
  for (const ComparedRow* row : all) {
    text += padded(row->name, left, false);
    for (size_t i = 0; i < widths.size(); ++i)
      text += "  " + padded(visible(row->values[i], true), widths[i], true);
    text += "\n";
  }
  return text;
}

std::string plot_of(const std::vector<ComparedRun>& runs) {
  std::vector<PlotCurve> curves;
  for (const ComparedRun& run : runs) {
    PlotCurve& curve = curves.emplace_back(PlotCurve{visible(run.name, true), {}});
    for (const LogRow& row : run.history.evaluations())
      if (row.iter > 0 || run.history.evaluations().size() < 5)
        curve.points.emplace_back(row.iter, *row.val_loss);
  }
  return text_plot(curves, "val loss by iteration", style_of_output());
}

}  // namespace

// folio compare DIR DIR ... [-o FILE.html] [--key=value ...]
int compare_command(int argc, char** argv) {
  CompareOptions options;
  OptionTable parser(option_rows(options));
  std::vector<std::string> args(argv + 1, argv + argc);
  const std::vector<std::string> folders = take_folders(args);
  parser.parse(
      "folio compare DIR DIR ... [-o FILE.html] [--key=value ...]\n\n"
      "The runs in these folders (out_dir) side by side: their losses, and the\n"
      "options that differ.",
      args);
  check(!folders.empty(), "folio compare: name the folders of the runs: folio compare out-a out-b");
  std::vector<ComparedRun> runs;
  ComparedRow head{"", {}};
  for (const std::string& folder : folders) {
    runs.push_back(read_run(folder));
    head.values.push_back(folder);
  }
  if (options.plot == "on" || (options.plot == "auto" && output_is_terminal()))
    say("{}", plot_of(runs));
  say("{}", table(result_rows(runs), head));
  if (const std::vector<ComparedRow> differing = differing_rows(runs); !differing.empty()) {
    head.name = "options that differ";
    say("\n{}", table(differing, head));
  } else if (runs.size() > 1) {
    say("\nno options differ\n");
  }
  if (!options.output.empty()) {
    write_file(options.output, compare_html(runs));
    note("wrote {}\n", visible(options.output, true));
  }
  return 0;
}

}  // namespace folio
