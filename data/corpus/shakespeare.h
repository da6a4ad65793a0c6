#pragma once
#include <string>

#include "data/download/download.h"

namespace folio {

// The corpus of char-rnn and nanoGPT, 1,115,394 characters of Shakespeare.
const RemoteFile& tiny_shakespeare();

// The path of `file` in `directory`, downloaded unless it is there already. Error, with what the
// user can do instead, if it cannot be had.
std::string published_text(const std::string& directory,
                           const RemoteFile& file = tiny_shakespeare(), FetchOptions options = {});

}  // namespace folio
