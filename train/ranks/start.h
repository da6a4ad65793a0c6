#pragma once
#include <string>
#include <vector>

#include "configs/train_options.h"
#include "core/ranks/communicator.h"
#include "core/ranks/facts.h"

namespace folio {

// What several ranks settle before a run begins. All of these are called by every rank, and an
// Error is every rank's.

// Error that names the first rank and option that is not as rank 0 has it.
void check_same_options(Communicator& ranks, const TrainOptions& options);
// Error unless what rank 0 writes into `folder`, which it makes if need be, is there for all.
void check_shared_folder(Communicator& ranks, const std::string& folder);

// The threads of this rank where the user has not said: those of its cores, shared out among the
// ranks of its host that may run on the same ones.
int threads_of_a_rank(int rank, const std::vector<RankFacts>& facts);
// "4 ranks on 2 hosts (a, b), 8 threads each: batch_size 12 x ... = 98,304 tokens an iteration",
// and, where mpirun has bound ranks to fewer cores than there are for them, what to type.
std::vector<std::string> describe_ranks(const std::vector<RankFacts>& facts,
                                        const TrainOptions& options, int threads);

}  // namespace folio
