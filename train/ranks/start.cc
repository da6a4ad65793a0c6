#include "train/ranks/start.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/parallel.h"
#include "core/text/numbers.h"
#include "data/files/files.h"
#include "train/ranks/together.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

int64_t ranks_on(const std::string& host, const std::vector<RankFacts>& facts) {
  return std::ranges::count(facts, host, &RankFacts::host);
}

std::string text_of(const TrainOptions& options) {
  std::string text;
  for (const auto& [key, value] : option_values(options))
    text += fmt::format("{}={}\n", key,
                        std::visit([](const auto& v) { return fmt::format("{}", v); }, value));
  return text;
}

int processors() { return int(sysconf(_SC_NPROCESSORS_ONLN)); }

}  // namespace

void check_same_options(Communicator& ranks, const TrainOptions& options) {
  const std::vector<std::string> all = ranks.gather(text_of(options));
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    const auto [theirs, first] = std::ranges::mismatch(all[rank], all[0]);
    auto line_at = [](const std::string& text, size_t at) {
      const size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
      return text.substr(begin, text.find('\n', at) - begin);
    };
    fail("rank {} was started with {}, and rank 0 with {}: start all with the same options", rank,
         line_at(all[rank], size_t(theirs - all[rank].begin())),
         line_at(all[0], size_t(first - all[0].begin())));
  }
}

void check_shared_folder(Communicator& ranks, const std::string& folder) {
  const fs::path mark = fs::path(folder) / ".ranks";
  const std::string token = ranks.gather(fmt::format("{} {}", host_name(), getpid()))[0];
  together(&ranks, [&] {
    if (ranks.rank() > 0) return;
    fs::create_directories(folder);
    write_file(mark.string(), token);
  });
  together(&ranks, [&] {
    fs::directory_iterator refresh(folder);  // a network file system looks again
    check(fs::exists(mark) && read_file(mark.string()) == token,
          "out_dir {} is not the same folder for all ranks: what rank 0 writes is not there on "
          "host {}; give one that all hosts share",
          folder, host_name());
  });
  if (ranks.rank() == 0) fs::remove(mark);
}

int threads_of_a_rank(int rank, const std::vector<RankFacts>& facts) {
  const RankFacts& own = facts[size_t(rank)];
  const int64_t here = ranks_on(own.host, facts);
  const bool shared = here * own.cores > processors();
  return int(std::max<int64_t>(1, parallel_threads() / (shared ? here : 1)));
}

std::vector<std::string> describe_ranks(const std::vector<RankFacts>& facts,
                                        const TrainOptions& options, int threads) {
  std::vector<std::string> hosts;
  for (const RankFacts& rank : facts)
    if (std::ranges::find(hosts, rank.host) == hosts.end()) hosts.push_back(rank.host);
  if (hosts.size() > 8) hosts.resize(8), hosts.emplace_back("...");
  const auto ranks = int64_t(facts.size());
  const int64_t micros = options.gradient_accumulation_steps / ranks;
  const std::string devices = options.device == "cpu"
                                  ? fmt::format("{} thread{}", threads, threads == 1 ? "" : "s")
                                  : "one GPU";
  std::vector<std::string> lines{fmt::format(
      "{} ranks on {} ({}), {} each: batch_size {} x block_size {} x {} of {} micro-batches x {} "
      "ranks = {} tokens an iteration",
      ranks, hosts.size() == 1 ? "1 host" : fmt::format("{} hosts", hosts.size()),
      fmt::join(hosts, ", "), devices, options.batch_size, options.model.block_size, micros,
      options.gradient_accumulation_steps, ranks,
      with_commas(options.batch_size * options.model.block_size *
                  options.gradient_accumulation_steps))};
  const RankFacts& first = facts[0];
  const int64_t for_each = processors() / ranks_on(first.host, facts);
  if (options.device == "cpu" && options.threads == 0 && first.cores < for_each)
    lines.push_back(fmt::format(
        "rank 0 may use {} of {} cores that there are for it: mpirun binds a rank to so many; to "
        "use them: mpirun --map-by slot:PE={} ..., or --bind-to none",
        first.cores, for_each, for_each));
  return lines;
}

}  // namespace folio
