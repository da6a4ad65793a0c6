#pragma once

namespace folio {

int train_command(int argc, char** argv);

}  // namespace folio
