#pragma once

namespace folio {

int sample_command(int argc, char** argv);

}  // namespace folio
