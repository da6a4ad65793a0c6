#pragma once

namespace folio {

// `folio prepare`; argv[0] is "prepare". Returns the exit status, throws Error for wrong use.
int prepare_command(int argc, char** argv);

}  // namespace folio
