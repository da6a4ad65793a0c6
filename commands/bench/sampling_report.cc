#include "commands/bench/sampling_report.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/process/output.h"

namespace folio {
namespace {

double tokens_per_second(const BenchRow& row) {
  return double(row.workload.batch) / row.timing.step_seconds;
}
double prefill_per_second(const BenchRow& row) {
  return double(row.workload.prompt_tokens) / row.timing.prompt_seconds;
}
double share_of_bandwidth(const BenchRow& row, const MachinePeak& peak) {
  if (peak.read_bandwidth == 0) return 0;  // it could not be measured
  return row.timing.bytes_a_step / row.timing.step_seconds / peak.read_bandwidth;
}
// Of the units that multiply by the row's weights.
const UnitPeak& unit_of(const MachinePeak& peak, const BenchRow& row) {
  const WeightFormat format = weight_format_named(row.weights);
  if (format == WeightFormat::f32) return peak.f32;
  return format == WeightFormat::bf16 ? peak.bf16 : peak.int8;
}
double share_of_peak(const BenchRow& row, const MachinePeak& peak) {
  return row.timing.flops_a_step / row.timing.step_seconds / unit_of(peak, row).flops;
}
double prefill_share_of_peak(const BenchRow& row, const MachinePeak& peak) {
  return row.timing.flops_a_prompt / row.timing.prompt_seconds / unit_of(peak, row).flops;
}

std::string_view cache_name(const Workload& workload) {
  if (workload.kv_cache) return name_of(workload.kv_cache_dtype);
  return workload.past_block == PastBlock::slide ? "off, slide" : "off";
}

// "reads 42.6 MB (73 % of what memory gives) and does 0.21 GFLOP (5 % of the peak)"
std::string work(const BenchRow& row, const MachinePeak& peak) {
  return fmt::format(
      "reads {:.1f} MB ({:.0f} % of what memory gives in that time) and does {:.2f} GFLOP ({:.0f} "
      "% of the peak of {})",
      row.timing.bytes_a_step / 1e6, 100 * share_of_bandwidth(row, peak),
      row.timing.flops_a_step / 1e9, 100 * share_of_peak(row, peak), unit_of(peak, row).unit);
}

}  // namespace

void print_table(const std::vector<BenchRow>& rows, const MachinePeak& peak) {
  say("{:9} {:>5} {:10} | {:>8} {:>6} {:>9} | {:>9} {:>9} {:>10} {:>8} {:>6} | {:>8}\n", "weights",
      "batch", "cache", "prefill", "of", "first", "decode", "a step", "read a", "of band", "of",
      "memory");
  say("{:9} {:>5} {:10} | {:>8} {:>6} {:>9} | {:>9} {:>9} {:>10} {:>8} {:>6} | {:>8}\n", "", "", "",
      "tok/s", "peak", "token ms", "tok/s", "ms", "token MB", "width", "peak", "MB");
  for (const BenchRow& row : rows) {
    const Timing& t = row.timing;
    say("{:9} {:5} {:10} | {:8.0f} {:4.0f} % {:9.1f} | {:9.1f} {:9.3f} {:10.1f} {:6.0f} % {:4.0f} "
        "% "
        "| {:8.0f}\n",
        row.weights, row.workload.batch, cache_name(row.workload), prefill_per_second(row),
        100 * prefill_share_of_peak(row, peak), 1e3 * t.prompt_seconds, tokens_per_second(row),
        1e3 * t.step_seconds, t.bytes_a_step / double(row.workload.batch) / 1e6,
        100 * share_of_bandwidth(row, peak), 100 * share_of_peak(row, peak),
        double(t.peak_bytes) / 1e6);
  }
}

void explain_gain(const BenchRow& cached, const BenchRow& uncached, const MachinePeak& peak) {
  double gain = uncached.timing.step_seconds / cached.timing.step_seconds;
  double fewer = uncached.timing.flops_a_step / cached.timing.flops_a_step;
  say("\n{}, batch {}: with the cache a step is {:.1f} times as fast.\n", cached.weights,
      cached.workload.batch, gain);
  say("  with it, a step {};\n", work(cached, peak));
  const bool whole = uncached.workload.past_block == PastBlock::window;
  say("  without, it computes {} again: it {}.\n", whole ? "the whole text" : "every window",
      work(uncached, peak));
  const double of_bandwidth = share_of_bandwidth(cached, peak),
               of_peak = share_of_peak(cached, peak);
  const char* pace = std::max(of_bandwidth, of_peak) < 0.4
                         ? "its operations one after the other, each too small to fill the machine"
                     : of_bandwidth > of_peak ? "reading the weights, which a larger batch shares"
                                              : "the multiply-adds and what lies between them";
  say("  So {:.0f} times fewer multiply-adds give a gain of {:.1f}: each weight that is read "
      "serves "
      "{} row{} instead of whole {},\n  and what paces a cached step is {}.\n",
      fewer, gain, cached.workload.batch, cached.workload.batch == 1 ? "" : "s",
      whole ? "texts" : "windows", pace);
}

void explain_waits(const BenchRow& cached, const BenchRow& uncached) {
  const Timing &with = cached.timing, &without = uncached.timing;
  if (with.device_seconds == 0 || without.device_seconds == 0) return;
  // Measured apart, the device's share can come out as the larger one.
  auto waits = [](const Timing& t, double step) {
    return fmt::format("{:.0f} % of {:.3f} ms", 100 * std::max(0.0, 1 - t.device_seconds / step),
                       1e3 * step);
  };
  say("  Launches and waits are {} with the cache ({} if nobody waits for each token, {} if each\n"
      "  kernel is launched by itself), and {} without. The cache makes the device's work {:.1f} "
      "times less,\n  and leaves launches and waits as they are.\n",
      waits(with, with.step_seconds), waits(with, with.unattended_step_seconds),
      waits(with, with.unrecorded_step_seconds), waits(without, without.step_seconds),
      without.device_seconds / with.device_seconds);
}

void print_windows(const BenchRow& row, int64_t block_size) {
  std::vector<std::string> prices;
  for (const WindowTiming& window : row.timing.windows)
    prices.push_back(fmt::format("{:.3f}", 1e3 * window.step_seconds));
  say("\n{}, batch {}, cache {}: a step in ms, with all that is computed again, from window to "
      "window of {} tokens:\n  {}\n  past the first the dearest is {:.3f} times the cheapest\n",
      row.weights, row.workload.batch, cache_name(row.workload), block_size, fmt::join(prices, " "),
      price_growth(row.timing, block_size));
}

nlohmann::ordered_json to_json(const BenchRow& row, const MachinePeak& peak, int64_t block_size) {
  const Timing& t = row.timing;
  auto windows = nlohmann::ordered_json::array();
  for (const WindowTiming& window : t.windows)
    windows.push_back({{"from_token", window.index * block_size},
                       {"steps", window.steps},
                       {"step_ms", 1e3 * window.step_seconds}});
  return {{"weights", row.weights},
          {"batch", row.workload.batch},
          {"kv_cache", row.workload.kv_cache},
          {"kv_cache_dtype", name_of(row.workload.kv_cache_dtype)},
          {"past_block", name_of(row.workload.past_block)},
          {"prompt_tokens", row.workload.prompt_tokens},
          {"new_tokens", row.workload.new_tokens},
          {"prefill_tokens_per_second", prefill_per_second(row)},
          {"prefill_share_of_peak", prefill_share_of_peak(row, peak)},
          {"first_token_ms", 1e3 * t.prompt_seconds},
          {"tokens_per_second", tokens_per_second(row)},
          {"step_ms", 1e3 * t.step_seconds},
          {"min_step_ms", 1e3 * t.min_step_seconds},
          {"device_step_ms", 1e3 * t.device_seconds},
          {"unattended_step_ms", 1e3 * t.unattended_step_seconds},
          {"unrecorded_step_ms", 1e3 * t.unrecorded_step_seconds},
          {"bytes_a_token", t.bytes_a_step / double(row.workload.batch)},
          {"share_of_bandwidth", share_of_bandwidth(row, peak)},
          {"share_of_peak", share_of_peak(row, peak)},
          {"peak_rss_bytes", t.peak_bytes},
          {"kv_cache_bytes", t.kv_cache_bytes},
          {"windows", windows},
          {"price_growth", price_growth(t, block_size)}};
}

}  // namespace folio
