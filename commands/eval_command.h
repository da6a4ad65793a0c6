#pragma once

namespace folio {

int eval_command(int argc, char** argv);

}  // namespace folio
