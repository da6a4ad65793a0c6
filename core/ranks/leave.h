#pragma once
#include <string>
#include <vector>

#include "core/ranks/communicator.h"
#include "core/ranks/facts.h"

namespace folio {

// The end of a job of several ranks, which is the end of all of them: none is left waiting for one
// that is gone, and one alone says why.

// From here on a rank that is gone, hangs or reports an error ends all: rank 0 prints "folio: ",
// the reason and the last words on standard error, and each leaves with 1 from wherever it is. All
// ranks call it; join_ranks does. A process that ends through exit() or main's return has ended in
// order, and the others are not troubled.
void watch_ranks(Communicator& ranks, const std::vector<RankFacts>& facts,
                 const Communicator::Options& options);

// What is said after the reason: where the state of the last checkpoint is, and how to go on.
void set_last_words(std::string words);

// Prints "folio: " and the error that ends this process; the caller then leaves with 1. Where it is
// one of several ranks, the job ends and this does not return: one rank prints the error, with rank
// and host in front unless all report the same.
void leave_together(const std::string& error);

}  // namespace folio
