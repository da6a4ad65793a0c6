#include "commands/train/train_terminal.h"

#include <unistd.h>

#include <cmath>

#include "checkpoint/model_file.h"
#include "commands/train/text_plot.h"
#include "core/text/numbers.h"
#include "data/text/visible.h"

namespace folio {
namespace {

std::string duration(double s) {
  auto whole = int64_t(s + 0.5);
  if (whole >= 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

// As a shell takes it for one word; where it could steer a terminal, in bash's $'...' spelling.
std::string shell_word(const std::string& text) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=+,:@%";
  if (text.find_first_not_of(plain) == text.npos) return text;
  const bool steers = visible(text, true) != text;
  std::string quoted = steers ? "$'" : "'";
  for (char c : text) {
    if (!steers)
      quoted += c == '\'' ? "'\\''" : std::string(1, c);
    else if (c == '\'' || c == '\\')
      quoted += {'\\', c};
    else if (c >= 0x20 && c < 0x7f)
      quoted += c;
    else
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return quoted + "'";
}

// What to type to go on.
std::string resume_command(const Run& run) {
  return "folio train --init_from=resume " + shell_word("--out_dir=" + run.options.out_dir);
}

std::string best_loss(const Run& run) {
  return std::isfinite(run.best_val_loss) ? fmt::format("best val loss {:.4f}", run.best_val_loss)
                                          : "no val loss after iteration 0";
}

// ", 12 % of peak"; empty where there is no share.
std::string percent(const std::optional<double>& share, const char* what) {
  return share ? fmt::format(", {:.0f} % {}", 100 * *share, what) : "";
}

int64_t tokens_per_iteration(const TrainOptions& o) {
  return o.gradient_accumulation_steps * o.batch_size * o.model.block_size;
}

double epochs(const Run& run, int64_t iterations) {
  return double(iterations) * double(tokens_per_iteration(run.options)) /
         double(run.data.train.size());
}

}  // namespace

TrainTerminal::TrainTerminal() : live_(output_is_terminal()) {}

void TrainTerminal::print(const std::string& text) {
  output_([&] { write_output(text); });
}

void TrainTerminal::clear_line() {
  if (live_) print("\r\033[K");
}

void TrainTerminal::start(const Run& run) {
  const TrainOptions& o = run.options;
  for (const std::string& note : run.notes) print(visible(note) + "\n");
  print(visible(differing_options(option_values(o), option_values(TrainOptions{}), run.origins,
                                  terminal_width(STDOUT_FILENO))));
  print(fmt::format("tokens per iteration will be: {}\n", tokens_per_iteration(o)));
  print(fmt::format("number of parameters: {:.2f}M\n", double(run.model->num_params()) / 1e6));
  if (!o.eval_only)
    print(fmt::format(
        "{:.2f} epochs of {} tokens; evaluated and saved every {} iterations{}\n",
        epochs(run, o.max_iters + 1), with_commas(run.data.train.size()), o.eval_interval,
        o.early_stop > 0 ? fmt::format(", ends after {} without a better val loss", o.early_stop)
                         : ""));
  if (!run.taken_over.empty()) print(visible(run.taken_over) + "\n");
  if (run.resumed())
    print(fmt::format("resuming from {} at iteration {}\n", visible(o.out_dir, true), run.iter));
}

void TrainTerminal::evaluated(const Run& run, const Losses& losses) {
  clear_line();
  print(fmt::format("step {}: train loss {:.4f}, val loss {:.4f}\n", run.iter, losses.train,
                    losses.val));
}

// Indented, so that no line of it can be taken for one of the run's own.
void TrainTerminal::sample(const TrainingSample& sample) {
  std::string text = "  | ";
  const size_t begin = std::min(sample.text.find_first_not_of('\n'), sample.text.size());
  for (char c : visible(sample.text.substr(begin))) {
    text += c;
    if (c == '\n') text += "  | ";
  }
  print(text + "\n");
}

void TrainTerminal::remark(const std::string& sentence) { print(sentence + "\n"); }

void TrainTerminal::saved(const std::filesystem::path& path) {
  clear_line();
  print(fmt::format("saved checkpoint to {}\n", visible(path.string(), true)));
}

void TrainTerminal::stepped(const Run& run, const Step& step, const Pace& pace) {
  if (live_) return print("\r\033[K" + progress(run, step, pace));
  print(fmt::format("iter {}: loss {:.4f}, time {:.2f}ms, {:.0f} tokens/s{}{}\n", step.iter,
                    step.loss, pace.step_seconds * 1e3, pace.tokens_per_second,
                    percent(pace.share_of_peak, "of peak"), percent(pace.share_waited, "waiting")));
}

// What fits the terminal, the least important left out first.
std::string TrainTerminal::progress(const Run& run, const Step& step, const Pace& pace) const {
  const TrainOptions& o = run.options;
  const int64_t next = (step.iter / o.eval_interval + 1) * o.eval_interval;
  auto in = [&](int64_t iter) { return duration(pace.step_seconds * double(iter - step.iter)); };
  struct Part {
    int rank;  // 0 stays longest
    std::string text;
  };
  std::vector<Part> parts{{0, fmt::format("iter {}: loss {:.4f}", step.iter, step.loss)},
                          {5, fmt::format(", time {:.2f}ms", pace.step_seconds * 1e3)},
                          {4, fmt::format(", {:.0f} tokens/s", pace.tokens_per_second)}};
  parts.push_back({6, percent(pace.share_of_peak, "of peak")});
  parts.push_back({6, percent(pace.share_waited, "waiting")});
  parts.push_back({2, fmt::format(", epoch {:.2f}", epochs(run, step.iter + 1))});
  if (next <= o.max_iters)
    parts.push_back({3, fmt::format(", evaluates and saves in {}", in(next))});
  parts.push_back({1, fmt::format(", {} left", in(o.max_iters + 1))});
  const auto width = size_t(terminal_width(STDOUT_FILENO) - 1);
  std::string line;
  for (int most = 6; most >= 0; --most) {
    line.clear();
    for (const Part& part : parts)
      if (part.rank <= most) line += part.text;
    if (line.size() <= width) break;
  }
  return line.substr(0, width);
}

void TrainTerminal::plot(const RunHistory& history) {
  std::vector<LogRow> rows = history.evaluations();
  // Where nothing was learned yet would leave little room for the rest.
  if (rows.size() > 4 && rows.front().iter == 0) rows.erase(rows.begin());
  PlotCurve train{.name = "train", .points = {}}, val{.name = "val", .points = {}};
  for (const LogRow& row : rows) {
    train.points.emplace_back(row.iter, row.train_loss.value_or(NAN));
    val.points.emplace_back(row.iter, *row.val_loss);
  }
  print(text_plot({train, val}, "loss by iteration", style_of_output()));
}

void TrainTerminal::finish(const Run& run, Finish finish, bool trained,
                           std::optional<double> loss) {
  const TrainOptions& o = run.options;
  if (finish == Finish::interrupted)
    print(fmt::format("stopped after {} iterations{}; saved to {}\ngo on with: {}\n", run.iter,
                      loss ? fmt::format(", loss {:.4f}", *loss) : "",
                      visible(last_checkpoint(o.out_dir).string(), true), resume_command(run)));
  else if (finish == Finish::early_stop)
    print(fmt::format(
        "stopped early after {} iterations: {} of iteration {}, and no better one in "
        "the {} evaluations since (early_stop); state in {}\n",
        run.iter, best_loss(run), run.best_iter, o.early_stop, visible(o.out_dir, true)));
  else if (!trained)
    print(
        fmt::format("nothing to train: {} iterations are done and max_iters is {}; go on with: "
                    "{} --max_iters=N\n",
                    run.iter, o.max_iters, resume_command(run)));
  else
    print(fmt::format("stopped after {} iterations; {}; state in {}\n", run.iter, best_loss(run),
                      visible(o.out_dir, true)));
}

}  // namespace folio
