#pragma once

namespace folio {

// `folio bench tokenizer`; argv[0] is "tokenizer". Returns the exit status.
int bench_tokenizer_command(int argc, char** argv);

}  // namespace folio
