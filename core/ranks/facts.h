#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/ranks/communicator.h"

namespace folio {

// What the others may want to know of a rank.
struct RankFacts {
  std::string host;
  int64_t pid = 0;
  int cores = 0;      // on which it may run: mpirun binds a rank to some of its host's
  std::string build;  // of the program: the same text, the same program
};

std::string host_name();  // this one's
RankFacts this_process();
std::vector<RankFacts> gather_facts(Communicator& ranks);  // by rank

std::string named(int rank, const RankFacts& facts);  // "rank 2 on node7 (process 4711)"

// Error that names the first rank whose program is not rank 0's.
void check_same_build(const std::vector<RankFacts>& ranks);

}  // namespace folio
