#pragma once

namespace folio {

int bench_sample_command(int argc, char** argv);

}  // namespace folio
