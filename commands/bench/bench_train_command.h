#pragma once

namespace folio {

int bench_train_command(int argc, char** argv);

}  // namespace folio
